"""Reads the checkpoint and the train split; writes weights tuned to sample in one or a few evaluations.

Progress is kept in a file beside the output that no rule declares: the same command resumes from it.
"""

import json
import logging
from collections.abc import Callable

import torch

from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints, consistency, subclasses, training
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files, preemption, tensor_files
from diffdistill.runtime.program import Job
from diffdistill.runtime.progress import Bar
from diffdistill.runtime.resuming import Progress, StopSignal

logger = logging.getLogger(__name__)

LOGGED = 20
"""Lines of the log about the loss."""


def main(job: Job[stages.Tune]) -> None:
    devices.set_up(job.threads)
    progress = Progress(job.output("weights"), job.settings.tune.save_seconds)
    with progress.lock():
        try:
            signal = _tune(job, progress)
        except training.NonFiniteError as error:
            rate = job.settings.tune.learning_rate
            raise UserError(f"{error}: lower tune.learning_rate ({rate}) or raise tune.warmup_iterations") from error
    if signal:
        preemption.leave(signal)


def _tune(job: Job[stages.Tune], progress: Progress) -> int:
    """Returns the signal that stopped it, or 0."""
    block, device = job.settings.tune, devices.best_device()
    recipe, data = block.recipe(flip=job.settings.flip), image_files.load(job.input("train"))
    checkpoint = checkpoints.load(job.input("weights"), device)
    denoiser = checkpoint.denoiser
    image_files.require_same_origin(checkpoint.path, checkpoint.metadata, job.input("train"), data.metadata)
    labels, counts = data.labels, denoiser.labels.subclasses[:0]
    if "subclasses" in job.inputs:
        labels, counts = subclasses.load(job.input("subclasses"), labels, len(data.classes))
    if counts != denoiser.labels.subclasses:
        raise UserError(f"{checkpoint.path}: trained with other sub-classes than are given; train again")
    settings = {"tune": block.fingerprint(), "flip": recipe.flip, "weights": files.sha256(checkpoint.path)}
    metadata = {training.SETTINGS: json.dumps(settings, sort_keys=True)}
    if _is_done(progress, metadata):
        return 0
    state = training.State.start(denoiser, recipe)
    if progress.path.exists():
        if differences := training.differences(training.read_metadata(progress.path), metadata):
            logger.info("%s was made with other settings (%s); starting over", progress.path, ", ".join(differences))
        else:
            state.load(progress.path, same_slice=True)
            logger.info("resuming from %s at iteration %d", progress.path, state.iteration)
    stop = StopSignal()
    with Bar(total=block.iterations, initial=state.iteration, desc="tune", unit="it", disable=None) as bar:
        signal = training.train(
            state, data.images.to(device), labels.to(device), recipe, until=block.iterations,
            objective=consistency.tuning(block, schedule=denoiser.schedule, prediction=denoiser.prediction),
            execution=_execution(job, device), stop_signal=lambda: stop.number,
            after_iteration=_after_iteration(progress, metadata, bar, max(1, block.iterations // LOGGED)),
        )  # fmt: skip
    if signal:
        state.save(progress.path, metadata)
        logger.info("signal %d: saved iteration %d; the same command resumes from it", signal, state.iteration)
        return signal
    about = {key: value for key, value in checkpoint.metadata.items() if key != checkpoints.DENOISER}
    about[checkpoints.TUNED] = metadata[training.SETTINGS]
    checkpoints.save(progress.output, state.emas[0], json.dumps(denoiser.describe()), about)
    progress.finish()
    return 0


def _is_done(progress: Progress, metadata: dict[str, str]) -> bool:
    """Whether another job, which this one waited for, has written the same output."""
    if not progress.output.exists():
        return False
    made = tensor_files.load(progress.output, lambda name: False)[1]
    return made.get(checkpoints.TUNED) == metadata[training.SETTINGS]


def _execution(job: Job[stages.Tune], device: torch.device) -> training.Execution:
    block = job.settings.tune
    return training.Execution(
        micro_batch_size=block.micro_batch_size,
        precision=devices.precision(block.precision, device),
        compile=device.type == "cuda" if block.compile == "auto" else block.compile,
    )


def _after_iteration(
    progress: Progress, metadata: dict[str, str], bar: Bar, log_every: int
) -> Callable[[training.State], None]:
    """Show, log and save."""

    def after_iteration(state: training.State) -> None:
        bar.update()
        if state.iteration % log_every == 0:
            loss = sum(row[1] for row in state.history) / len(state.history)
            logger.info("iteration %d loss %.4f", state.iteration, loss)
            state.history.clear()
        if progress.due():
            state.save(progress.path, metadata)

    return after_iteration
