import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from diffdistill import config as experiments
from diffdistill.errors import UserError

try:
    CONFIG = experiments.parse(config)
except UserError as error:
    raise WorkflowError(str(error))

DEMO = "digits"
# tables, figures and report cover the config's targets, or the digits alone for `demo`: what is asked for must be known
# here, before names of files are made, and Snakemake tells a Snakefile only later
TARGETS = [DEMO] if "demo" in sys.argv[1:] else list(CONFIG.targets)

# `python` is the interpreter that runs snakemake; where every rule brings an environment of its own, that has the
# libraries, and the package is read from here
if workflow.deployment_settings.deployment_method:
    shell.prefix(f"export PYTHONPATH={shlex.quote(str(Path(workflow.basedir).parent / 'src'))}; ")
else:
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


wildcard_constraints:
    dataset=r"(?!(tables|figures)/)[A-Za-z0-9][A-Za-z0-9_.-]*",
    split="train|validation|test",
    step=r"\d+",
    average=r"\d+(-ema[1-9])?",
    seed=r"\d+",
    train_set="real|real-random|drawn|drawn-random",


def experiment(wildcards):
    """The experiment of a results folder."""
    try:
        return CONFIG.experiment(wildcards.dataset)
    except UserError as error:
        raise WorkflowError(str(error))


def source_of(wildcards):
    """The source of a data folder, which several experiments may share."""
    for name, candidate in CONFIG.experiments.items():
        if (candidate.dataset or name) == wildcards.dataset:
            return candidate.source
    known = sorted({candidate.dataset or name for name, candidate in CONFIG.experiments.items()})
    raise WorkflowError(f"no data set '{wildcards.dataset}' in config.yaml; known: {', '.join(known)}")


def download_of(wildcards):
    """Addresses and checksum of a file under data/raw/: Inception or start weights, or a data set's archive."""
    if wildcards.dataset == "inception":
        return {"urls": (experiments.INCEPTION_URL,), "checksum": experiments.INCEPTION_CHECKSUM, "unchecked": False}
    if wildcards.dataset == "weights":
        for name, candidate in CONFIG.experiments.items():
            start = candidate.train.start
            if start is not None and start.urls and Path(start.file(name)).name == wildcards.file:
                return {"urls": start.urls, "checksum": start.checksum, "unchecked": start.checksum is None}
        raise WorkflowError(f"data/raw/weights/{wildcards.file}: no experiment's train.start names it")
    source = source_of(wildcards)
    return {"urls": source.urls, "checksum": source.checksum, "unchecked": False}


def split(name):
    """An input function: the named split of the data set that an experiment reads."""
    return lambda wildcards: f"data/{experiment(wildcards).dataset or wildcards.dataset}/{name}.safetensors"


def slice_before(wildcards):
    """The end of the slice before, as a list that is empty for the first slice."""
    try:
        before = experiment(wildcards).slice_before(int(wildcards.step))
    except UserError as error:
        raise WorkflowError(f"results/{wildcards.dataset}/train/{wildcards.step}.safetensors: {error}")
    return [] if before is None else [f"results/{wildcards.dataset}/train/{before}.safetensors"]


def states(wildcards):
    """The ends of all training slices."""
    return [f"results/{wildcards.dataset}/train/{step}.safetensors" for step in experiment(wildcards).slice_ends()]


def average(wildcards):
    """One of the averages of the weights: its name, iteration and decay."""
    try:
        return experiment(wildcards).average(wildcards.average)
    except UserError as error:
        raise WorkflowError(f"results/{wildcards.dataset}/weights/{wildcards.average}.safetensors: {error}")


def at_averages(pattern):
    """An input function: the pattern at each average of the weights that is measured."""
    return lambda wildcards: [
        pattern.format(dataset=wildcards.dataset, average=name) for name in experiment(wildcards).averages()
    ]


def at_seeds(pattern):
    """An input function: the pattern at each seed of the experiment's evaluation."""
    return lambda wildcards: [
        pattern.format(dataset=wildcards.dataset, seed=seed) for seed in experiment(wildcards).evaluate.seeds
    ]


def trained_on(wildcards):
    """The images of a baseline; for a random part also the distilled set, which is as large, and the training on all.

    Where the distilled set is as large as all, that is not repeated.
    """
    whole = wildcards.train_set.removesuffix("-random")
    folder = f"results/{wildcards.dataset}"
    files = {"train": split("train")(wildcards) if whole == "real" else f"{folder}/samples.safetensors"}
    if whole != wildcards.train_set:
        files["distilled"] = f"{folder}/distilled.safetensors"
        files["whole"] = f"{folder}/baseline/{whole}.{wildcards.seed}.json"
    return files


def own_classifier(wildcards):
    """The classifier that is trained on the real train split."""
    return f"results/{wildcards.dataset}/fid/features.safetensors"


def features_of(wildcards):
    """The network whose features the distance is taken between: a given file, or our own classifier."""
    settings = experiment(wildcards).fid
    return own_classifier(wildcards) if settings.features == "classifier" else settings.inception_weights


def where_classes_are_measured(find):
    """An input function: what `find` finds where the experiment measures its classes, nothing where it does not."""
    return lambda wildcards: find(wildcards) if experiment(wildcards).fid.measures_classes else []


def classifier_of(wildcards):
    """The classifier trained on the real train split, by which classes are measured; nothing where they are not."""
    return where_classes_are_measured(own_classifier)(wildcards)


def drawn_with(wildcards):
    """The weights that draw: the chosen or the tuned ones; for autoguidance those of an earlier iteration too.

    And the choice itself, where it says how to draw.
    """
    one = experiment(wildcards)
    name = "tuned" if one.sample.solver.algorithm == "consistency" else "chosen"
    files = {"weights": f"results/{wildcards.dataset}/{name}.safetensors"}
    guidances = [one.sample.guidance]
    if one.choose.draws is not None:
        files["chosen"] = f"results/{wildcards.dataset}/chosen.json"
        guidances = [draw.guidance for draw in one.choose.draws]
    if guides := guides_of(wildcards, guidances):
        files["guide"] = guides
    return files


def guides_of(wildcards, guidances):
    """The weights of the earlier iterations that guide."""
    steps = sorted({guidance.from_step for guidance in guidances if guidance is not None and guidance.from_step})
    return [f"results/{wildcards.dataset}/weights/{step}.safetensors" for step in steps]


def selected_with(wildcards):
    """What the selection reads beside the drawn images: a classifier where one is asked; the choice, where it tells."""
    one, files = experiment(wildcards), {}
    blocks = [one.select]
    if one.choose.draws is not None:
        files["chosen"] = f"results/{wildcards.dataset}/chosen.json"
        blocks = [draw.select for draw in one.choose.draws if draw.select is not None]
    if any(block.needs_classifier for block in blocks):
        files["classifier"] = own_classifier(wildcards)
        files["validation"] = split("validation")(wildcards)
    return files


def pilots(wildcards):
    """What the pilot found; nothing where it does not choose."""
    tried = experiment(wildcards).pilots()
    return [f"results/{wildcards.dataset}/pilot/{average}.{draw}.json" for average, draw in tried]


def draw_of(wildcards):
    """How a pilot makes its set."""
    return experiment(wildcards).pilot_draws[int(wildcards.draw)]


def divided_classes(wildcards):
    """The parts of the classes, where training tells them apart."""
    divided = experiment(wildcards).train.subclasses > 1
    return f"results/{wildcards.dataset}/subclasses.safetensors" if divided else []


def study_runs(wildcards):
    """What the study of an experiment trains, by name."""
    try:
        return experiment(wildcards).study_runs()
    except UserError as error:
        raise WorkflowError(f"datasets.{wildcards.dataset}.{error}")


def study_run(wildcards):
    """What one training of a study varies."""
    try:
        return experiment(wildcards).study_run(wildcards.run)
    except UserError as error:
        raise WorkflowError(f"datasets.{wildcards.dataset}.study: {error}")


def studied_set(wildcards):
    """The images that a run is trained on."""
    run, folder = study_run(wildcards), f"results/{wildcards.dataset}"
    if run.train_set == "drawn-random":
        return f"{folder}/samples.safetensors"
    if run.train_set != "distilled":
        return split("train")(wildcards)
    return f"{folder}/rounds/{run.round}/distilled.safetensors" if run.round else f"{folder}/distilled.safetensors"


def studied_beside(wildcards):
    """What else a run reads, by name."""
    run, folder = study_run(wildcards), f"results/{wildcards.dataset}"
    as_many = run.train_set == "real-random" and run.images_per_class is None
    files = {}
    if as_many or (run.equal_steps and run.train_set == "real"):
        files["distilled"] = f"{folder}/distilled.safetensors"
    if run.on_all:
        files["whole"] = f"{folder}/study/{run.on_all}/{wildcards.seed}.json"
    if run.labels == "soft":
        files["classifier"] = own_classifier(wildcards)
    return files


def named(name, paths):
    """name=path for each path, as a stage reads them."""
    return [f"{name}={path}" for path in paths]


def all_named(files):
    """name=path for every named input or output file of a rule."""
    return [pair for name, paths in files.items() for pair in named(name, [paths] if isinstance(paths, str) else paths)]


TABLE_NAMES = ("models", "generators", "leaderboard", "accuracy")


def figure_names():
    """The figures of the report, two of images per experiment."""
    images = [f"{kind}_{name}" for kind in ("samples", "classes") for name in TARGETS]
    return ["fid_curve", "loss_curve", "accuracy", "leaderboard", *images]


def table_file(name):
    """models_csv -> results/tables/models.csv"""
    table, ending = name.rsplit("_", 1)
    return f"results/tables/{table}.{ending}"


def figure_file(name):
    """fid_curve_png -> results/figures/fid_curve.png"""
    figure, ending = name.rsplit("_", 1)
    return f"results/figures/{figure}.{ending}"


def marked_figure(name):
    """A figure's file with its caption for `snakemake --report`."""
    figure = name.rsplit("_", 1)[0]
    kind, _, experiment_name = figure.partition("_")
    if kind in ("samples", "classes"):
        labels = {"figure": kind, "experiment": experiment_name}
    else:
        kind, labels = figure, {"figure": figure.replace("_", " "), "experiment": "all"}
    return report(figure_file(name), caption=f"../report/{kind}.rst", category="Figures", labels=labels)


def experiments_summary():
    """What tables, figures and the report say of each target, as JSON."""
    return experiments.summary(CONFIG, TARGETS)
