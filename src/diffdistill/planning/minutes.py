"""How many minutes a job asks a queue for: they follow from what its stage is asked to do.

The rates are those of a slow GPU, so that a job that fits is not killed at its limit. Where a job is killed all the
same, the next attempt asks for more, unless it goes on from its last save.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from diffdistill.config import Experiment, Protocol, Sample, SamplingSetup
from diffdistill.config.generator import PipelineGenerator
from diffdistill.errors import UserError
from diffdistill.planning.plan import Plan, Wildcards

START = 50
"""To start, and to end: a queue's node may take minutes to import a package from a shared disk."""
EVALUATIONS = 25_000
"""Network evaluations of one image in a minute, by the largest network of the paper."""
TRAINED = 120_000
"""Images in a minute that a classifier is trained on."""
IMAGES = 100_000
"""Images of an epoch, where the data are not known yet: those of Tiny ImageNet."""
SLICE = 720
"""Of jobs that save and go on: longer ones than most queues take are cut by the limit and sent again."""


def of_training(protocol: Protocol, trainings: int = 1, images: int = IMAGES) -> float:
    """To train classifiers; images: of an epoch."""
    seen = protocol.steps * protocol.batch_size if protocol.steps else (protocol.epochs or 0) * images
    return trainings * seen / TRAINED


def _evaluations(one: Experiment, sample: Sample) -> int:
    """Of the network for one image, at most: which sampling setup the pilot will pick is not known."""
    if isinstance(one.generator, PipelineGenerator):
        # a pipeline of diffusers guides itself unless the scale is 1 or less
        guides_itself = one.generator.guidance is None or one.generator.guidance > 1
        return one.generator.steps * (2 if guides_itself else 1)
    setups: Sequence[Sample | SamplingSetup] = one.checkpoint.setups or (sample,)
    return max((setup.solver or sample.solver).nfe * (1 if setup.guidance is None else 2) for setup in setups)


def _training(plan: Plan, wildcards: Wildcards) -> float:
    return max(240 - START, of_training(plan.experiment(wildcards).evaluate.protocol))


def _real_run(plan: Plan, wildcards: Wildcards) -> float:
    return max(240 - START, of_training(plan.protocol_of(wildcards.dataset, wildcards.key)))


def _study_run(plan: Plan, wildcards: Wildcards) -> float:
    one = plan.experiment(wildcards)
    run, protocol = one.study_run(wildcards.run), one.evaluate.protocol
    if run.epochs is not None:
        protocol = protocol.changed(epochs=run.epochs, steps=None)
    return max(720 - START, of_training(protocol))


def _classifier(plan: Plan, wildcards: Wildcards) -> float:
    return of_training(plan.classifier_of(wildcards.dataset, wildcards.key).classifier_protocol)


def _fid(plan: Plan, wildcards: Wildcards) -> float:
    one = plan.experiment(wildcards)
    assert one.fid is not None
    checkpoints = len(plan.measurements(wildcards.experiment)[wildcards.ema])
    return max(120 - START, checkpoints * one.fid.images * one.fid.solver.nfe / EVALUATIONS / one.fid_devices)


def _pilot(plan: Plan, wildcards: Wildcards) -> float:
    one, block = plan.experiment(wildcards), plan.experiment(wildcards).checkpoint
    assert one.sample is not None
    sampling = block.images * one.sample.solver.nfe / EVALUATIONS
    return max(240 - START, sampling + of_training(one.pilot_protocol, len(block.seeds), block.images))


def _sample(plan: Plan, wildcards: Wildcards) -> float:
    """Within a budget, or a number of images."""
    one = plan.experiment(wildcards)
    if one.sample is None:
        return 0
    if one.sample.budget_seconds is not None:
        return one.sample.budget_seconds / 60
    return (one.sample.images or 0) * _evaluations(one, one.sample) / EVALUATIONS


def _resample(plan: Plan, wildcards: Wildcards) -> float:
    """As many images as the main set has: its seconds, unless the machine is slower."""
    return max(120 - START, 2 * _sample(plan, wildcards))


def _selection(plan: Plan, wildcards: Wildcards) -> float:
    """Looks at every sample, and takes less for it than making it took."""
    return _sample(plan, wildcards)


def _audit(plan: Plan, wildcards: Wildcards) -> float:
    block = plan.experiment(wildcards).audit
    if block is None:
        return 0
    evaluations = 2 * block.members * len(block.times) * block.noises + 2 * block.images
    return max(120 - START, evaluations / EVALUATIONS)


def _refine(plan: Plan, wildcards: Wildcards) -> float:
    block = plan.experiment(wildcards).refine
    return max(SLICE - START, (block.budget_seconds or 0) / 60 if block is not None else 0)


def _constant(minutes: int) -> Callable[[Plan, Wildcards], float]:
    return lambda plan, wildcards: minutes - START


_MINUTES: Mapping[str, Callable[[Plan, Wildcards], float]] = {
    "prepare": _constant(60),
    "fid_reference": _constant(60),
    "subclasses": _constant(60),
    "import_set": _constant(60),
    "export": _constant(60),
    "train": _constant(SLICE),
    "tune": _constant(SLICE),
    "refine": _refine,
    "classifier": _classifier,
    "real_run": _real_run,
    "evaluate": _training,
    "baseline": _training,
    "fid": _fid,
    "pilot": _pilot,
    "sample": _sample,
    "generate": _sample,
    "resample": _resample,
    "selection": _selection,
    "study_run": _study_run,
    "audit": _audit,
}
"""By rule, without the start."""
GOES_ON = {"train", "tune", "refine"}
"""Rules whose jobs go on from their last save."""
LEAST = 60


def minutes(plan: Plan, rule: str, wildcards: Wildcards, attempt: int = 1) -> int:
    """What the job of a rule asks for in its n-th attempt: more each time, unless it goes on or its budget ends it."""
    needed = max(LEAST, START + math.ceil(_MINUTES[rule](plan, wildcards)))
    if rule in GOES_ON or (rule in ("sample", "generate") and _has_budget(plan, wildcards)):
        return needed
    return attempt * needed


def _has_budget(plan: Plan, wildcards: Wildcards) -> bool:
    sample = plan.experiment(wildcards).sample
    return sample is not None and sample.budget_seconds is not None


def require_time(plan: Plan, given: Mapping[str, int]) -> None:
    """Raises UserError if a profile or --set-resources gives the sampling job fewer minutes than the budget lasts.

    given: minutes by rule.
    """
    for name, one in plan.config.experiments.items():
        sample, rule = one.sample, one.sampling_rule
        if rule in given and sample is not None and sample.budget_seconds is not None:
            least = math.ceil(sample.budget_seconds / 60)
            if given[rule] <= least:
                raise UserError(
                    f"experiments.{name}.sample.budget_seconds {sample.budget_seconds:g} lasts {least} minutes, but "
                    f"set-resources gives {rule} a runtime of {given[rule]}; raise it, or shorten the budget"
                )
