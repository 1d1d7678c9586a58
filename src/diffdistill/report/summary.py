"""The few lines that end a run."""

from pathlib import Path

from diffdistill.report import columns, diagnosis
from diffdistill.report.results import Experiment, Experiments
from diffdistill.report.train_sets import TRAIN_SETS


def text(experiments: Experiments, page: Path) -> str:
    """Accuracy and size of every experiment, and where the page is."""
    lines = [line for experiment in experiments.values() for line in _of_one(experiment)]
    return "\n".join([*lines, f"report: {page}", ""])


def _of_one(experiment: Experiment) -> list[str]:
    rows = diagnosis.rows_of(experiment)
    if not rows:
        return [f"{experiment.name}: not evaluated", *_sizes(experiment)]
    lines = [f"{experiment.name}: accuracy on real test images of ConvNets trained on"]
    for train_set, row in rows.items():
        title, accuracy = TRAIN_SETS[train_set].title, columns.mean_std(row["mean"], row["std"])
        images = f"{row['images']:,} images, {columns.times(row['images_share'])} the real ones"
        lines.append(f"  {title:<22}  {accuracy:<15}  ({images}, {columns.size(row['bytes'])})")
    assert experiment.accuracy is not None
    seeds = [f"{row['seed']}: {columns.share(row['accuracy'])}" for row in experiment.accuracy.to_dict("records")]
    lines.append(f"  distilled set, by seed: {', '.join(seeds)}")
    if "real" in rows and "distilled" in rows:
        lines.append(f"  relative accuracy: {columns.share(rows['distilled']['relative_accuracy'])}")
    return lines + _sizes(experiment)


def _sizes(experiment: Experiment) -> list[str]:
    return [f"  {sentence}" for sentence in diagnosis.size(experiment)]
