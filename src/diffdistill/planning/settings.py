"""The settings of each rule's stage, as the config and the wildcards say."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from diffdistill.config import INCEPTION_CHECKSUM, INCEPTION_URL, stages
from diffdistill.errors import UserError
from diffdistill.planning import fitting, sources
from diffdistill.planning.inputs import EXPORTS
from diffdistill.planning.plan import Plan, Wildcards


def fetch(plan: Plan, wildcards: Wildcards) -> stages.Fetch:
    """Addresses and checksum of a file under data/raw/: Inception or start weights, or the archive of a data set."""
    if wildcards.dataset == "inception":
        return stages.Fetch(urls=(INCEPTION_URL,), checksum=INCEPTION_CHECKSUM)
    if wildcards.dataset == "weights":
        for name, one in plan.config.experiments.items():
            start = one.train.start if one.train is not None else None
            if start is not None and start.urls and Path(start.file(name)).name == wildcards.file:
                return stages.Fetch(urls=start.urls, checksum=start.checksum, unchecked=start.checksum is None)
        raise UserError(f"data/raw/weights/{wildcards.file}: no experiment's train.start names it")
    source = plan.source(wildcards.dataset)
    return stages.Fetch(urls=source.urls, checksum=source.checksum)


def fetch_fingerprint(plan: Plan, wildcards: Wildcards) -> str:
    """What decides the file that is fetched: not its address."""
    if wildcards.dataset in ("inception", "weights"):
        return fetch(plan, wildcards).checksum or ""
    return sources.state(plan, wildcards.dataset).content.version


def prepare(plan: Plan, wildcards: Wildcards) -> stages.Prepare:
    content = sources.state(plan, wildcards.dataset).content
    limits = fitting.limits(plan, wildcards.dataset)
    return stages.Prepare(source=plan.source(wildcards.dataset), content=content, limits=limits)


def classifier(plan: Plan, wildcards: Wildcards) -> stages.Classifier:
    one = plan.classifier_of(wildcards.dataset, wildcards.key)
    return stages.Classifier(seed=one.classifier.seed, protocol=one.classifier_protocol)


def fid_reference(plan: Plan, wildcards: Wildcards) -> stages.FidReference:
    _, features = plan.reference_of(wildcards.dataset, wildcards.key)
    return stages.FidReference.model_validate({"features": features.features})


def subclasses(plan: Plan, wildcards: Wildcards) -> stages.Subclasses:
    train = plan.experiment(wildcards).train
    assert train is not None
    return stages.Subclasses(subclasses=train.subclasses, seed=train.seed)


def train(plan: Plan, wildcards: Wildcards) -> stages.Train:
    one = plan.experiment(wildcards)
    assert one.model is not None and one.train is not None
    return stages.Train(model=one.model, train=one.train, snapshot_every=one.snapshot_every, until=int(wildcards.step))


def train_fingerprint(plan: Plan, wildcards: Wildcards) -> str:
    """What decides the state that training writes; a change of anything else retrains nothing."""
    one = plan.experiment(wildcards)
    assert one.model is not None and one.train is not None
    deciding = {
        "model": one.model.model_dump(mode="json"),
        "train": one.train.fingerprint(),
        "snapshot_every": one.snapshot_every,
        "start": one.train.start_file(wildcards.experiment),
    }
    return json.dumps(deciding, sort_keys=True)


def weights(plan: Plan, wildcards: Wildcards) -> stages.Weights:
    return stages.Weights.model_validate(plan.experiment(wildcards).ema(wildcards.ema)._asdict())


def history(plan: Plan, wildcards: Wildcards) -> stages.History:
    return stages.History()


def fid(plan: Plan, wildcards: Wildcards) -> stages.Fid:
    one = plan.experiment(wildcards)
    assert one.fid is not None
    return stages.Fid(measurement=one.fid.measurement, devices=one.fid_devices)


def pilot(plan: Plan, wildcards: Wildcards) -> stages.Pilot:
    one = plan.experiment(wildcards)
    assert one.sample is not None
    picked = one.checkpoint
    return stages.Pilot(
        setup=one.pilot_setups[int(wildcards.setup)],
        evaluations=picked.images * one.sample.solver.nfe,
        batch_size=picked.batch_size,
        seed=picked.seed,
        protocol=one.pilot_protocol,
        seeds=picked.seeds,
    )


def checkpoint(plan: Plan, wildcards: Wildcards) -> stages.Checkpoint:
    one = plan.experiment(wildcards)
    return stages.Checkpoint.model_validate({"by": one.checkpoint_by, "setups": one.checkpoint.setups})


def tune(plan: Plan, wildcards: Wildcards) -> stages.Tune:
    one = plan.experiment(wildcards)
    if one.tune is None or one.train is None:
        raise UserError(f"results/{wildcards.experiment}/tuned.safetensors: tune is null; add the block tune")
    return stages.Tune(tune=one.tune, flip=one.train.flip)


def sample(plan: Plan, wildcards: Wildcards) -> stages.Sample:
    one = plan.experiment(wildcards)
    assert one.sample is not None
    return stages.Sample(sample=one.sample)


def import_set(plan: Plan, wildcards: Wildcards) -> stages.ImportSet:
    return stages.ImportSet.model_validate({"generator": plan.experiment(wildcards).generator})


def generate(plan: Plan, wildcards: Wildcards) -> stages.Generate:
    one = plan.experiment(wildcards)
    return stages.Generate.model_validate({"generator": one.generator, "sample": one.sample})


def selection(plan: Plan, wildcards: Wildcards) -> stages.Selection:
    return stages.Selection(select=plan.experiment(wildcards).select)


def refine(plan: Plan, wildcards: Wildcards) -> stages.Refine:
    one = plan.experiment(wildcards)
    assert one.refine is not None
    return stages.Refine(refine=one.refine, protocol=one.evaluate.protocol)


def real_run(plan: Plan, wildcards: Wildcards) -> stages.Evaluate:
    protocol = plan.protocol_of(wildcards.dataset, wildcards.key)
    return stages.Evaluate(train_set="real", protocol=protocol, seed=int(wildcards.seed))


def real_subset_run(plan: Plan, wildcards: Wildcards) -> stages.Evaluate:
    protocol, per_class = plan.protocol_of(wildcards.dataset, wildcards.key), int(wildcards.per_class)
    return stages.Evaluate(train_set="real-random", protocol=protocol, seed=int(wildcards.seed), per_class=per_class)


def evaluate(plan: Plan, wildcards: Wildcards) -> stages.Evaluate:
    protocol = plan.experiment(wildcards).evaluate.protocol
    return stages.Evaluate(train_set="distilled", protocol=protocol, seed=int(wildcards.seed))


def baseline(plan: Plan, wildcards: Wildcards) -> stages.Evaluate:
    protocol = plan.experiment(wildcards).evaluate.protocol
    return stages.Evaluate(train_set=wildcards.train_set, protocol=protocol, seed=int(wildcards.seed))


def accuracy(plan: Plan, wildcards: Wildcards) -> stages.Accuracy:
    return stages.Accuracy(experiment=wildcards.experiment)


def study_run(plan: Plan, wildcards: Wildcards) -> stages.StudyRun:
    one = plan.experiment(wildcards)
    run, protocol = one.study_run(wildcards.run), one.evaluate.protocol
    return stages.StudyRun(run=run, protocol=protocol, seed=int(wildcards.seed))


def study(plan: Plan, wildcards: Wildcards) -> stages.Study:
    return stages.Study(experiment=wildcards.experiment)


def resampling_settings(plan: Plan, wildcards: Wildcards) -> stages.ResamplingSettings:
    return stages.ResamplingSettings(sample=sample(plan, wildcards).sample, resampling=int(wildcards.resampling))


def audit(plan: Plan, wildcards: Wildcards) -> stages.Audit:
    block = plan.experiment(wildcards).audit
    if block is None:
        raise UserError(f"results/{wildcards.experiment}/audit.json: audit is null; remove that line from config.yaml")
    return stages.Audit(audit=block)


def measure(plan: Plan, wildcards: Wildcards) -> stages.Measure:
    return stages.Measure.model_validate({"features": plan.measured_features(wildcards.experiment).features})


def export(plan: Plan, wildcards: Wildcards) -> stages.Export:
    one = plan.experiment(wildcards)
    form = next(form for form, file in EXPORTS.items() if file == wildcards.file)
    per_class = one.export.challenge_per_class if form == "challenge" else None
    return stages.Export.model_validate(
        {
            "form": form,
            "protocol": one.evaluate.protocol,
            "challenge_per_class": per_class,
            "release": one.release,
        }
    )


def export_card(plan: Plan, wildcards: Wildcards) -> stages.ExportCard:
    one = plan.experiment(wildcards)
    return stages.ExportCard(
        experiment=wildcards.experiment, source=one.source.kind, licence=one.export.licence, release=one.release
    )


SETTINGS: Mapping[str, Callable[[Plan, Wildcards], stages.Settings]] = {
    function.__name__: function
    for function in (
        fetch, prepare, classifier, fid_reference, subclasses, train, weights, history, fid, pilot, checkpoint,
        tune, sample, import_set, generate, selection, refine, real_run, real_subset_run, evaluate, baseline,
        accuracy, study_run, study, resampling_settings, audit, measure, export, export_card,
    )
}  # fmt: skip
"""By rule."""
