"""Reads the train split and the previous slice's end, or start weights; writes the end state of one slice of training.

Progress inside the slice is kept in a file beside the output that no rule declares: the same command resumes from it.
Started by torchrun, it is one of several processes that share each batch; the first one alone reads states and writes.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from diffdistill.config import stages
from diffdistill.data import fetching, image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import augmentation, pretrained, state_files, subclasses, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files, preemption, processes
from diffdistill.runtime.processes import Processes
from diffdistill.runtime.program import Job
from diffdistill.runtime.progress import Bar
from diffdistill.runtime.resuming import Progress, StopSignal

logger = logging.getLogger(__name__)

TIMED = range(10, 100)
"""Iterations timed for the estimate of the hours; earlier ones warm up."""
Fresh = Callable[[Sequence[Path]], training.State]
"""Start weights, or none -> the state of iteration 0."""


def main(job: Job[stages.Train]) -> None:
    block = job.settings.train
    with processes.init(block.devices) as group:
        devices.set_up(max(1, job.threads // group.local_count))
        try:
            signal = _train_slice(job, group)
        except training.NonFiniteError as error:
            raise UserError(
                f"{error}: lower train.learning_rate ({block.learning_rate}) or raise train.warmup_iterations"
            ) from error
    if signal:
        preemption.leave(signal)


def _train_slice(job: Job[stages.Train], group: Processes) -> int:
    """Returns the signal that stopped it, or 0."""
    settings, device = job.settings, group.device
    block, data = settings.train, image_files.load(job.input("train"))
    labels, counts = data.labels, LabelSpace(num_classes=len(data.classes)).subclasses
    if "subclasses" in job.inputs:
        labels, counts = subclasses.load(job.input("subclasses"), labels, len(data.classes))
    execution = _execution(job, group)
    fresh = _fresh(job, data, counts, device)
    with ExitStack() as stack:

        def prepare() -> tuple[training.State, _Reporting]:
            progress = Progress(job.output("state"), block.save_seconds)
            stack.enter_context(progress.lock())
            metadata = training.origin_metadata(_origin(job), data.metadata)
            machine = {"devices": str(group.count), "precision": str(execution.precision).removeprefix("torch.")}
            metadata["machine"] = json.dumps(devices.describe(device) | machine)
            state = _take_up(fresh, job, progress, metadata)
            every, kept = settings.snapshot_every, len(state.snapshots) // len(state.emas)
            kept += settings.until // every - state.iteration // every
            files.require_room(progress.output, state.bytes_with(kept))  # now, not after hours
            return state, _Reporting(stack, progress, metadata, settings, state.iteration)

        state, reporting = group.run_on_main(prepare) or (fresh(()), None)
        state.broadcast(group)
        logger.info(
            "%s with %.2f M parameters, %d images of %s, iterations %d to %d, %s, seed %d",
            type(state.denoiser.network).__name__, state.denoiser.parameter_count / 1e6, len(data.images),
            tuple(data.images.shape[1:]), state.iteration, settings.until, execution.describe(block.batch_size),
            block.seed,
        )  # fmt: skip
        stop = StopSignal()
        signal = training.train(
            state, data.images.to(device), labels.to(device), block, until=settings.until,
            snapshot_every=settings.snapshot_every, execution=execution, stop_signal=lambda: stop.number,
            after_iteration=reporting or (lambda state: None),
        )  # fmt: skip
        if reporting is not None:
            reporting.finish(state, signal)
        group.barrier()  # a process that left now would make torchrun end the first one, which may still be writing
    return signal


def _execution(job: Job[stages.Train], group: Processes) -> training.Execution:
    block, device = job.settings.train, group.device
    return training.Execution(
        processes=group,
        micro_batch_size=block.micro_batch_size,
        precision=devices.precision(block.precision, device),
        compile=device.type == "cuda" if block.compile == "auto" else block.compile,
    )


def _fresh(job: Job[stages.Train], data: ImageSet, counts: tuple[tuple[int, ...], ...], device: torch.device) -> Fresh:
    """What makes the state of iteration 0. It raises UserError if the model does not fit the images."""
    block, model = job.settings.train, job.settings.model
    channels, height, width = data.images.shape[1:]
    space = LabelSpace(num_classes=len(data.classes), subclasses=counts, null_label=block.label_dropout > 0)

    def build() -> NetworkDenoiser:
        return NetworkDenoiser(
            model, labels=space, image_shape=(channels, height, width),
            augment_dim=augmentation.dimension(block.families),
        )  # fmt: skip

    def fresh(start: Sequence[Path]) -> training.State:
        try:
            denoiser = training.initialise(build, block.seed)
        except ValueError as error:
            raise UserError(f"model: {error}") from error
        for path in start:
            try:
                fitted = pretrained.load_into(denoiser.network, path, data.classes)
            except UserError as error:
                raise UserError(f"{error}; fix model or train.start") from error
            logger.info("start weights %s: %s", path, fitted)
        return training.State.start(denoiser.to(device), block)

    return fresh


def _origin(job: Job[stages.Train]) -> dict[str, Any]:
    """What makes two slices one run: neither the length of a slice nor the machine is part of it."""
    settings = job.settings
    origin: dict[str, Any] = {
        "model": settings.model.fingerprint(),
        "snapshot_every": settings.snapshot_every,
        "train": settings.train.fingerprint(),
    }
    if "subclasses" in job.inputs:
        origin["subclasses"] = files.sha256(job.input("subclasses"))
    return origin | {"start": _start(job)}


def _start(job: Job[stages.Train]) -> str | None:
    """Checksum of the weights that the first slice started from; a later slice knows it from the one before."""
    start = job.settings.train.start
    if start is None:
        return None
    if "before" in job.inputs:
        before = training.read_metadata(job.input("before"))
        return str(training.settings_of(before).get("start", "unknown"))
    path = job.input("start")
    if not path.is_file():
        raise UserError(f"{path}: no such file; fix train.start")
    if start.checksum is not None:
        fetching.require(path, start.checksum, "train.start.checksum")
    return f"sha256:{files.sha256(path)}"


def _take_up(fresh: Fresh, job: Job[stages.Train], progress: Progress, metadata: dict[str, str]) -> training.State:
    """This slice as far as it is made, if that fits; else the end of the slice before, else a new start."""
    for path in progress.existing():
        # before tensors are read: those of other settings may not even fit
        differences = training.differences(training.read_metadata(path), metadata)
        if not differences:
            state = fresh(())
            state.load(path, same_slice=True)
            logger.info("resuming from %s at iteration %d", path, state.iteration)
            return state
        logger.info("%s was made with other settings (%s); starting over", path, ", ".join(differences))
    if "before" not in job.inputs:
        return fresh(job.inputs.get("start", []))
    before = job.input("before")
    if differences := training.differences(training.read_metadata(before), metadata):
        raise UserError(
            f"{before} was trained with other settings ({', '.join(differences)}) than this slice asks for; "
            "run snakemake again: it retrains the slices that changed"
        )
    state = fresh(())
    state.load(before, same_slice=False)
    return state


class _Reporting:
    """Called after every iteration by the first process: shows, logs, estimates, saves at an interval in seconds."""

    def __init__(
        self, stack: ExitStack, progress: Progress, metadata: dict[str, str], settings: stages.Train, first: int
    ) -> None:
        self.progress, self.metadata, self.first = progress, metadata, first
        self.block, self.until = settings.train, settings.until
        self.clock = time.monotonic()
        folder = progress.output.parent / "tensorboard"
        self.curves = stack.enter_context(_curves(folder, first)) if self.block.tensorboard else None
        self.bar = stack.enter_context(Bar(total=self.until, initial=first, desc="train", unit="it", disable=None))

    def __call__(self, state: training.State) -> None:
        self.bar.update()
        if state.iteration % self.block.log_every == 0:
            self._show(state)
        self._estimate(state.iteration - self.first)
        if self.progress.due():
            state.save(self.progress.path, self.metadata)

    def finish(self, state: training.State, signal: int) -> None:
        """Write the slice's end, or its progress if a signal came before it."""
        if signal:
            state.save(self.progress.path, self.metadata)
            logger.info("signal %d: saved iteration %d; the same command resumes from it", signal, state.iteration)
        else:
            state.save(self.progress.output, self.metadata)
            self.progress.finish()

    def _show(self, state: training.State) -> None:
        row = dict(zip(state_files.HISTORY, state.history[-1], strict=True))
        self.bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
        if state.iteration % (10 * self.block.log_every) == 0:
            logger.info(
                "iteration %d loss %.4f learning rate %.2e ema decay %.5f, %.0f images/s",
                state.iteration, *list(row.values())[1:],
            )  # fmt: skip
        if self.curves is not None:
            for name, value in list(row.items())[1:]:
                self.curves.add_scalar(name, value, state.iteration)

    def _estimate(self, passed: int) -> None:
        if passed == TIMED.start:
            self.clock = time.monotonic()
        elif passed == TIMED.stop:
            hours = (time.monotonic() - self.clock) / len(TIMED) / 3600
            logger.info(
                "about %s for %d iterations on %d device%s; this slice %s",
                _duration(hours * self.block.iterations), self.block.iterations, self.block.devices,
                "s" if self.block.devices > 1 else "", _duration(hours * (self.until - self.first)),
            )  # fmt: skip


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _curves(folder: Path, iteration: int) -> Any:
    """A writer for TensorBoard that drops what was written after `iteration`, before a stop."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("train.tensorboard: the package is missing; pip install tensorboard") from error
    return SummaryWriter(str(folder), purge_step=iteration + 1)
