"""What more can be had from a generator that is trained: fresh images, label repair, and mixing with real images.

python -m benchmarks.given digits|fashion [--samples SAMPLES ...] [--convnets N] [--treatments NAME ...]
python -m benchmarks.given page               writes benchmarks/GIVEN.md from the recorded rows alone

SAMPLES: what `python -m benchmarks.networks --keep FOLDER` writes, one file per trained network. Every treatment makes
a train set of these images, and N ConvNets are trained on it, all in the same number of steps, so a set of fewer images
repeats them more often. They are tested on the images that benchmarks.networks holds out: no test split is read.
Label noise is what a classifier trained on the real images contradicts, with a confidence above a half. A second one,
trained with another seed, says how many labels it agrees with afterwards: the first would agree with its own repairs.
Every row is appended to given.jsonl as soon as it is measured.
"""

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import measuring
from benchmarks.measuring import machine
from benchmarks.networks import Task
from benchmarks.quality import Split
from diffdistill.classify import training as classifying
from diffdistill.data import image_files, selection
from diffdistill.metrics import agreement
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE, ROWS = FOLDER / "GIVEN.md", FOLDER / "given.jsonl"
CONVNETS = 3


class Bench:
    """A task with the two classifiers that are trained on its real images."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.repairing, self.judging = (task.fitted(task.data, seed) for seed in (0, 1))

    def agreement(self, data: Split) -> float:
        predicted, _ = agreement.predict(self.judging, data.images)
        return agreement.label_agreement(predicted, data.labels)

    def repaired(self, samples: Split, label_noise: str) -> Split:
        predicted = agreement.predict(self.repairing, samples.images)
        labels, left, _ = selection.without_label_noise(samples.labels, *predicted, above=0.5, label_noise=label_noise)
        return Split(samples.images[left], labels[left])

    def mixed(self, samples: Split, times: float | None) -> Split:
        """All real images, and so many times as many samples; None: all of them."""
        real = self.task.data
        some = samples if times is None else first(samples, round(times * len(real.labels)))
        return Split(torch.cat([real.images, some.images]), torch.cat([real.labels, some.labels]))

    def soft(self, samples: Split) -> Split:
        return Split(samples.images, classifying.logits(self.repairing, samples.images).softmax(1))


def first(samples: Split, count: int) -> Split:
    """Raises ValueError if there are fewer; classes take turns, so that every part is balanced."""
    if len(samples.labels) < count:
        raise ValueError(f"{len(samples.labels):,} samples, {count:,} needed")
    return Split(samples.images[:count], samples.labels[:count])


REAL = "real images"
TREATMENTS: dict[str, Callable[[Bench, Split], Split]] = {
    "as sampled": lambda bench, samples: samples,
    "a twelfth of them": lambda bench, samples: first(samples, len(samples.labels) // 12),
    "a quarter of them": lambda bench, samples: first(samples, len(samples.labels) // 4),
    "label noise relabelled": lambda bench, samples: bench.repaired(samples, "relabel"),
    "label noise dropped": lambda bench, samples: bench.repaired(samples, "drop"),
    "soft labels": lambda bench, samples: bench.soft(samples),
    REAL: lambda bench, samples: bench.task.data,
    "real and half as many": lambda bench, samples: bench.mixed(samples, 0.5),
    "real and as many": lambda bench, samples: bench.mixed(samples, 1),
    "real and twice as many": lambda bench, samples: bench.mixed(samples, 2),
    "real and all of them": lambda bench, samples: bench.mixed(samples, None),
}


def measured(bench: Bench, samples: Split, treatment: str, convnets: int) -> dict[str, Any]:
    """The row of one network's samples after one treatment."""
    data = TREATMENTS[treatment](bench, samples)
    judged = data.labels.ndim == 1 and not treatment.startswith("real")  # its classifier was trained on real images
    return {
        "treatment": treatment,
        "images": len(data.labels),
        "agreement": round(bench.agreement(data), 4) if judged else None,
        "accuracies": [round(bench.task.accuracy(bench.task.fitted(data, seed)), 4) for seed in range(convnets)],
        "machine": machine(),
    }


def read(path: Path) -> tuple[Split, str]:
    """The samples in a file, and the network that they are from."""
    found = image_files.load(path)
    return Split(found.images, found.labels), found.metadata["generator"]


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table per data set and kind of generator; a line per treatment, over all networks of which it was measured."""
    lines = [INTRODUCTION]
    groups: dict[tuple[str, str], dict[str, dict[str, Mapping[str, Any]]]] = {}
    for row in rows:
        kind = row["generator"].rpartition(", seed")[0]
        groups.setdefault((row["data"], kind), {}).setdefault(row["treatment"], {})[row["generator"]] = row
    for (data, kind), treatments in groups.items():
        lines += [f"\n## {data}: {kind} of training\n", HEAD]
        lines += [_line(name, [*treatments[name].values()]) for name in TREATMENTS if name in treatments]
    machines = dict.fromkeys(str(row["machine"]) for row in rows)
    return "\n".join([*lines, "", *(f"On {one}." for one in machines)]) + "\n"


def _line(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    means = [100 * statistics.mean(row["accuracies"]) for row in rows]
    spread = f" ± {statistics.stdev(means):.2f}" if len(means) > 1 else ""
    agreements = [100 * row["agreement"] for row in rows if row["agreement"] is not None]
    agreed = f"{statistics.mean(agreements):.1f} %" if agreements else "-"
    images = statistics.mean(row["images"] for row in rows)
    convnets = min(len(row["accuracies"]) for row in rows)
    networks = "-" if name == REAL else str(len(rows))
    return f"| {name} | {images:,.0f} | {networks}; {convnets} | {agreed} | {statistics.mean(means):.2f}{spread} % |"


INTRODUCTION = """# More from a trained generator

Written by `python -m benchmarks.given page` from the rows in given.jsonl, each appended when it was measured.
ConvNets are trained on what a network of [NETWORKS.md](NETWORKS.md) samples, after the treatment of a row, always in
the same number of steps: fewer images are repeated more often. Accuracy on held-out train images; ± is the standard
deviation over networks, of the means of their ConvNets. A classifier trained on the real images repairs labels; one
with another seed says how many labels it agrees with."""
HEAD = "| train set | images | networks; ConvNets on each | label agreement | accuracy |\n|---|---|---|---|---|"


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("data", choices=("digits", "fashion", "page"))
    parser.add_argument("--samples", nargs="+", type=Path, default=[])
    parser.add_argument("--convnets", type=int, default=CONVNETS)
    parser.add_argument("--treatments", nargs="+", choices=[*TREATMENTS], default=[*TREATMENTS])
    given = parser.parse_args(argv)
    devices.set_up(1)
    if given.toy:
        task = Task.digits(toy=True)
        bench, samples = Bench(task), Split(task.data.images[:96], task.data.labels[:96])
        about = {"data": "digits", "generator": "real images in place of samples, seed 0"}
        found = [about | measured(bench, samples, treatment, 1) for treatment in list(TREATMENTS)[:6]]
        print(page(found))
        return 0
    if given.samples:
        bench = Bench(getattr(Task, given.data)())
    for number, path in enumerate(given.samples):
        samples, generator = read(path)
        for treatment in given.treatments:
            if treatment == REAL and number:
                continue  # no other generator changes it
            about = {"data": given.data, "generator": generator}
            row = about | measured(bench, samples, treatment, given.convnets)
            print(json.dumps(row), flush=True)
            measuring.record(ROWS, row)
    PAGE.write_text(page(measuring.recorded(ROWS)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
