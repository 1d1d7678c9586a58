"""The input files of each rule that depend on the config, by name; empty lists are files that a job does without."""

from collections.abc import Callable, Iterable, Mapping

from diffdistill.config import Guidance, SamplesGenerator, Train, TrainGenerator
from diffdistill.errors import UserError
from diffdistill.planning.plan import Files, Plan, Wildcards


def _results(wildcards: Wildcards) -> str:
    return f"results/{wildcards.experiment}"


def fid_reference(plan: Plan, wildcards: Wildcards) -> Files:
    name, features = plan.reference_of(wildcards.dataset, wildcards.key)
    files: Files = {"train": plan.split(name, "train"), "features": features.network}
    if features.classifier is not None:
        files |= {"classifier": features.classifier, "validation": plan.split(name, "validation")}
    return files


def subclasses(plan: Plan, wildcards: Wildcards) -> Files:
    name = wildcards.experiment
    return {"train": plan.split(name, "train"), "classifier": plan.classifier(name)}


def _divided(plan: Plan, wildcards: Wildcards) -> list[str]:
    """The sub-classes of an experiment that has some."""
    train = plan.experiment(wildcards).train
    return [f"{_results(wildcards)}/subclasses.safetensors"] if train is not None and train.subclasses > 1 else []


def _training(plan: Plan, wildcards: Wildcards) -> Train:
    """The training of an experiment. Raises UserError if it trains nothing."""
    train = plan.experiment(wildcards).train
    if train is None:
        raise UserError(f"{_results(wildcards)}: nothing is trained in this experiment")
    return train


def train(plan: Plan, wildcards: Wildcards) -> Files:
    block, name = _training(plan, wildcards), wildcards.experiment
    try:
        end = block.slice_before(int(wildcards.step))
    except UserError as error:
        raise UserError(f"{_results(wildcards)}/train/{wildcards.step}.safetensors: {error}") from None
    start = block.start_file(name)
    return {
        "train": plan.split(name, "train"),
        "before": [] if end is None else [f"{_results(wildcards)}/train/{end}.safetensors"],
        "subclasses": _divided(plan, wildcards),
        "start": [start] if end is None and start is not None else [],
    }


def weights(plan: Plan, wildcards: Wildcards) -> Files:
    block = _training(plan, wildcards)
    try:
        step = plan.experiment(wildcards).ema(wildcards.ema).step
    except UserError as error:
        raise UserError(f"{_results(wildcards)}/weights/{wildcards.ema}.safetensors: {error}") from None
    return {"state": f"{_results(wildcards)}/train/{block.slice_of(step)}.safetensors"}


def history(plan: Plan, wildcards: Wildcards) -> Files:
    ends = _training(plan, wildcards).slice_ends()
    return {"states": [f"{_results(wildcards)}/train/{step}.safetensors" for step in ends]}


def fid(plan: Plan, wildcards: Wildcards) -> Files:
    name, jobs = wildcards.experiment, plan.measurements(wildcards.experiment)
    if wildcards.ema not in jobs:
        known = ", ".join(jobs) or "none"
        raise UserError(f"{_results(wildcards)}/fid/{wildcards.ema}.json: no job measures this; known: {known}")
    reference, features = plan.reference(name), plan.features(name)
    return {
        "weights": [f"{_results(wildcards)}/weights/{ema.name}.safetensors" for ema in jobs[wildcards.ema]],
        "features": features.network,
        "classifier": [] if features.classifier is None else [features.classifier],
        "reference": reference,
    }


def _guides(wildcards: Wildcards, guidances: Iterable[Guidance | None]) -> list[str]:
    """The weights of the earlier iterations that guide."""
    steps = sorted({guidance.from_step for guidance in guidances if guidance is not None and guidance.from_step})
    return [f"{_results(wildcards)}/weights/{step}.safetensors" for step in steps]


def pilot(plan: Plan, wildcards: Wildcards) -> Files:
    name, setup = wildcards.experiment, plan.experiment(wildcards).pilot_setups[int(wildcards.setup)]
    needs_classifier = setup.select is not None and setup.select.needs_classifier
    return {
        "weights": f"{_results(wildcards)}/weights/{wildcards.ema}.safetensors",
        "validation": plan.split(name, "validation"),
        "guide": _guides(wildcards, [setup.guidance]),
        "classifier": [plan.classifier(name)] if needs_classifier else [],
    }


def checkpoint(plan: Plan, wildcards: Wildcards) -> Files:
    one, folder = plan.experiment(wildcards), _results(wildcards)
    emas = one.emas() if one.fid is not None else one.emas(one.ema_steps()[-1:])
    return {
        "fid": [f"{folder}/fid/{name}.json" for name in plan.measurements(wildcards.experiment)],
        "pilot": [f"{folder}/pilot/{ema.name}.{setup}.json" for ema, setup in one.pilots()],
        "weights": [f"{folder}/weights/{ema.name}.safetensors" for ema in emas],
    }


def tune(plan: Plan, wildcards: Wildcards) -> Files:
    return {
        "weights": f"{_results(wildcards)}/checkpoint.safetensors",
        "train": plan.split(wildcards.experiment, "train"),
        "subclasses": _divided(plan, wildcards),
    }


def sample(plan: Plan, wildcards: Wildcards) -> Files:
    """The checkpoint or the tuned weights; with autoguidance earlier weights; the pilot's choice of a setup.

    Mode guidance needs the classifier and the train split, and so do the counts of real images the split.
    """
    one, folder = plan.experiment(wildcards), _results(wildcards)
    if one.sample is None or not one.trains:
        raise UserError(f"{folder}: generator.kind '{one.generator.kind}' does not sample weights")
    name = "tuned" if one.sample.solver.algorithm == "consistency" else "checkpoint"
    files: Files = {"weights": f"{folder}/{name}.safetensors"}
    guidances = [one.sample.guidance]
    if one.checkpoint.setups is not None:
        files["checkpoint"] = f"{folder}/checkpoint.json"
        guidances = [setup.guidance for setup in one.checkpoint.setups]
    if guides := _guides(wildcards, guidances):
        files["guide"] = guides
    if one.sample.modes is not None or one.sample.counts == "real":
        files["train"] = plan.split(wildcards.experiment, "train")
    if one.sample.modes is not None:
        files["classifier"] = plan.classifier(wildcards.experiment)
    return files


def import_set(plan: Plan, wildcards: Wildcards) -> Files:
    """A finished set, its labels if they are a file of their own, and the real train split."""
    block = plan.experiment(wildcards).generator
    assert isinstance(block, SamplesGenerator)
    labels = [block.labels] if block.labels is not None else []
    return {"set": block.path, "labels": labels, "train": plan.split(wildcards.experiment, "train")}


def generate(plan: Plan, wildcards: Wildcards) -> Files:
    """What a generator from elsewhere is made of, and the real train split."""
    block = plan.experiment(wildcards).generator
    assert not isinstance(block, TrainGenerator)
    return {"generator": block.path, "train": plan.split(wildcards.experiment, "train")}


def selection(plan: Plan, wildcards: Wildcards) -> Files:
    """The classifier and the validation split if the method needs them; the pilot's choice of a setup."""
    one, name, files = plan.experiment(wildcards), wildcards.experiment, dict[str, str | list[str]]()
    selects = [one.select]
    if one.checkpoint.setups is not None:
        files["checkpoint"] = f"{_results(wildcards)}/checkpoint.json"
        selects = [setup.select for setup in one.checkpoint.setups if setup.select is not None]
    if any(select.needs_classifier for select in selects):
        files |= {"classifier": plan.classifier(name), "validation": plan.split(name, "validation")}
    return files


def refine(plan: Plan, wildcards: Wildcards) -> Files:
    """What is matched, what decides, and the selection or the weights if refining starts from them."""
    one, name, folder = plan.experiment(wildcards), wildcards.experiment, _results(wildcards)
    files: Files = {part: plan.split(name, part) for part in ("train", "validation")}
    assert one.refine is not None
    if one.refine.parametrisation == "latent":
        weights = "tuned" if one.refine.solver.algorithm == "consistency" else "checkpoint"
        files["weights"] = f"{folder}/{weights}.safetensors"
    elif one.refine.from_samples:
        files["start"] = f"{folder}/selected.safetensors"
    return files


def baseline(plan: Plan, wildcards: Wildcards) -> Files:
    """The set that random images are taken from; the distilled set, whose size counts; the training on all of it.

    If the distilled set is as large as all, that training is not repeated.
    """
    folder, name = _results(wildcards), wildcards.experiment
    real, all_samples = wildcards.train_set == "real-random", wildcards.train_set == "all-samples"
    files: Files = {
        "train": plan.split(name, "train") if real else f"{folder}/samples.safetensors",
        "test": plan.split(name, "test"),
    }
    if all_samples:
        return files
    whole = plan.real_run(name, wildcards.seed) if real else f"{folder}/baseline/all-samples.{wildcards.seed}.json"
    return files | {"distilled": f"{folder}/distilled.safetensors", "whole": whole}


def accuracy(plan: Plan, wildcards: Wildcards) -> Files:
    seeds = plan.experiment(wildcards).evaluate.seeds
    return {"accuracy": [f"{_results(wildcards)}/accuracy/{seed}.json" for seed in seeds]}


def baselines(plan: Plan, wildcards: Wildcards) -> Files:
    one = plan.experiment(wildcards)
    own = [
        f"{_results(wildcards)}/baseline/{train_set}.{seed}.json"
        for train_set in ("real-random", *one.sample_sets)
        for seed in one.evaluate.seeds
    ]
    return {"accuracy": [plan.real_run(wildcards.experiment, seed) for seed in one.evaluate.seeds] + own}


def study_run(plan: Plan, wildcards: Wildcards) -> Files:
    run, folder, name = plan.experiment(wildcards).study_run(wildcards.run), _results(wildcards), wildcards.experiment
    if run.train_set == "random-samples":
        images = f"{folder}/samples.safetensors"
    elif run.train_set != "distilled":
        images = plan.split(name, "train")
    else:
        images = f"{folder}/resampling/{run.resampling}/distilled.safetensors" if run.resampling else ""
        images = images or f"{folder}/distilled.safetensors"
    files: Files = {"train": images, "test": plan.split(name, "test")}
    same_size = run.train_set == "real-random" and run.images_per_class is None
    if same_size or (run.equal_steps and run.train_set == "real"):
        files["distilled"] = f"{folder}/distilled.safetensors"
    if run.full_real_run:
        files["whole"] = f"{folder}/study/{run.full_real_run}/{wildcards.seed}.json"
    if run.mix is not None:
        files["real"] = plan.split(name, "train")
    if run.labels == "soft":
        files["classifier"] = plan.classifier(name)
    return files


def study(plan: Plan, wildcards: Wildcards) -> Files:
    one, folder = plan.experiment(wildcards), _results(wildcards)
    try:
        runs = one.study_runs()
    except UserError as error:
        raise UserError(f"experiments.{wildcards.experiment}.{error}") from None
    return {
        "distilled": f"{folder}/distilled.safetensors",
        "main": accuracy(plan, wildcards)["accuracy"],
        "baselines": baselines(plan, wildcards)["accuracy"],
        "runs": [f"{folder}/study/{run}/{seed}.json" for run in runs for seed in one.evaluate.seeds],
    }


def audit(plan: Plan, wildcards: Wildcards) -> Files:
    """The weights, for the membership test, only if the experiment has some."""
    name, folder = wildcards.experiment, _results(wildcards)
    return {
        "distilled": f"{folder}/distilled.safetensors",
        "train": plan.split(name, "train"),
        "validation": plan.split(name, "validation"),
        "classifier": plan.classifier(name),
        "weights": [f"{folder}/checkpoint.safetensors"] if plan.experiment(wildcards).trains else [],
    }


def export(plan: Plan, wildcards: Wildcards) -> Files:
    """The audit decides whether the distilled set may leave; without one it is not asked."""
    folder = _results(wildcards)
    audited = plan.experiment(wildcards).audit is not None
    return {
        "distilled": f"{folder}/distilled.safetensors",
        "audit": [f"{folder}/audit.json"] if audited else [],
    }


def export_card(plan: Plan, wildcards: Wildcards) -> Files:
    one, folder = plan.experiment(wildcards), _results(wildcards)
    return {
        "distilled": f"{folder}/distilled.safetensors",
        "real": plan.split(wildcards.experiment, "train"),
        "accuracy": f"{folder}/accuracy.csv",
        "baselines": f"{folder}/baselines.csv",
        "account": [f"{folder}/samples.json"] if one.samples else [],
        "refined": [f"{folder}/refined.json"] if one.refine is not None else [],
        "audit": [] if one.audit is None else [f"{folder}/audit.json"],
        "files": [f"{folder}/export/{EXPORTS[form]}" for form in one.export.formats],
    }


EXPORTS: Mapping[str, str] = {"images": "images.zip", "parquet": "train.parquet", "challenge": "challenge.pt"}
"""The file of each form of the distilled set."""

INPUTS: Mapping[str, Callable[[Plan, Wildcards], Files]] = {
    function.__name__: function
    for function in (
        fid_reference, subclasses, train, weights, history, fid, pilot, checkpoint, tune, sample, import_set, generate,
        selection, refine, baseline, accuracy, baselines, study_run, study, audit, export, export_card,
    )
}  # fmt: skip
"""By rule."""
