"""Reads the train split and the previous slice's end, or start weights; writes the end state of one slice of training.

Progress inside the slice is kept in a file beside the output that no rule declares: the same command goes on from it.
Started by torchrun, it is one of several processes that share each batch; the first one alone reads states and writes.
"""

import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from diffdistill import config
from diffdistill.data import fetching, image_files
from diffdistill.diffusion import augmentation, pretrained, subclasses, training
from diffdistill.diffusion.weights import Shape
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files, processes, program, tensor_files

logger = logging.getLogger("diffdistill")

MEASURED = range(10, 100)
"""The iterations of a job from whose pace its hours are foretold; those before warm up."""


def stage(job: program.Job) -> None:
    block = config.read(config.Train, job.config["train"])
    with processes.init(block.devices) as group:
        devices.set_up(max(1, job.threads // group.local_count))
        signal = _train_slice(job, block, group)
    if signal:
        sys.exit(128 + signal)


def _train_slice(job: program.Job, block: config.Train, group: processes.Processes) -> int:
    """Returns the signal that stopped it, or 0."""
    model = config.read(config.Model, job.config["model"])
    until, output, device = int(job.config["until"]), job.output("state"), group.device
    data = image_files.load(job.input("train"))
    recipe = training.Recipe(**block.recipe(), snapshot_every=job.config["every"])
    labels, counts = subclasses.labels_of(data.labels, len(data.classes), job.inputs.get("subclasses", []))
    shape = Shape(
        data.images.shape[-1], data.images.shape[1], len(data.classes), **model.model_dump(), subclasses=counts,
        null_label=recipe.label_dropout > 0, augment_dim=augmentation.dimension(recipe.families),
    )  # fmt: skip
    execution = training.Execution(
        processes=group,
        micro_batch_size=block.micro_batch_size,
        precision=devices.precision(block.precision, device),
        compile=device.type == "cuda" if block.compile == "auto" else block.compile,
    )

    def fresh(start: Sequence[Path] = ()) -> training.State:
        network = training.initialise(shape.build, block.seed)
        for path in start:
            logger.info("start weights %s: %s", path, pretrained.load_into(network, path, data.classes))
        return training.State.start(network.to(device), recipe)

    with ExitStack() as stack:

        def prepare() -> tuple[training.State, _Progress]:
            _lock(stack, output)
            metadata = training.metadata_of(_origin(job, block), data.metadata) | {"shape": json.dumps(shape.__dict__)}
            machine = {"devices": str(group.count), "precision": str(execution.precision).removeprefix("torch.")}
            metadata["machine"] = json.dumps(devices.describe(device) | machine)
            state = _take_up(fresh, job.inputs, output, metadata)
            return state, _Progress(stack, output, metadata, block, state.iteration, until)

        state, progress = group.run_on_main(prepare) or (fresh(), None)
        state.broadcast(group)
        logger.info(
            "U-ViT with %.2f M parameters, %d images of %s, iterations %d to %d, %s, seed %d",
            sum(parameter.numel() for parameter in state.network.parameters()) / 1e6, len(data.images),
            tuple(data.images.shape[1:]), state.iteration, until, execution.describe(block.batch_size), block.seed,
        )  # fmt: skip
        stop = processes.StopSignal()
        signal = training.train(
            state, data.images.to(device), labels.to(device), recipe, until=until, execution=execution,
            stop_signal=lambda: stop.number, after_iteration=progress or (lambda state: None),
        )  # fmt: skip
        if progress is not None:
            progress.finish(state, signal)
        group.barrier()  # a process that left now would make torchrun end the first one, which may still be writing
    return signal


def _origin(job: program.Job, block: config.Train) -> str:
    """What makes two slices one run, as JSON: neither the length of a slice nor the machine is part of it."""
    origin = {"model": job.config["model"], "every": job.config["every"], "train": block.fingerprint()}
    origin |= {name: files.sha256(path) for name, (path,) in job.inputs.items() if name == "subclasses"}
    return json.dumps(origin | {"start": _start(job, block)}, sort_keys=True)


def _start(job: program.Job, block: config.Train) -> str | None:
    """Checksum of the weights that the first slice started from; a later slice knows it from the one before."""
    if block.start is None:
        return None
    before = job.inputs.get("before", [])
    if before:
        config_before = tensor_files.load(before[0], lambda name: False)[1].get("config", "{}")
        return str(json.loads(config_before).get("start", "unknown"))
    path = job.input("start")
    if not path.is_file():
        raise UserError(f"{path}: no such file; mend train.start")
    if block.start.checksum is not None:
        fetching.require(path, block.start.checksum, "train.start.checksum")
    return f"sha256:{files.sha256(path)}"


def _progress_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}.progress{output.suffix}")


def _lock(stack: ExitStack, output: Path) -> None:
    """Refuse a second job on the same slice; the kernel frees the lock however this one ends.

    In a queue, the other is a job whose submitting process was killed: it is waited for, and what it made is taken.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    path = _progress_file(output).with_suffix(".lock")
    while True:
        handle = stack.enter_context(path.open("w"))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if "SLURM_JOB_ID" not in os.environ:
                raise UserError(f"{output}: another process trains this slice; wait for it or stop it") from error
            logger.info("another process trains this slice; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(os.fstat(handle.fileno()), path.stat()):
            break  # else the one who held it has removed the file, and a third may have made another
    stack.callback(lambda: path.unlink(missing_ok=True))


def _take_up(
    fresh: Callable[[Sequence[Path]], training.State],
    inputs: Mapping[str, list[Path]],
    output: Path,
    metadata: dict[str, str],
) -> training.State:
    """This slice as far as it is made, if that fits; else the end of the slice before, else a new start."""
    before = inputs.get("before", [])
    for made in (output, _progress_file(output)):
        if made.exists():
            differing = _differing(made, metadata)
            if not differing:
                state = fresh(())
                state.load(made, same_slice=True)
                logger.info("going on from %s at iteration %d", made, state.iteration)
                return state
            logger.info("%s was made with other settings (%s); starting anew", made, ", ".join(differing))
    if not before:
        return fresh(inputs.get("start", []))
    if differing := _differing(before[0], metadata):
        raise UserError(
            f"{before[0]} was trained with other settings ({', '.join(differing)}) than this slice asks for; "
            "run snakemake again: it retrains the slices that changed"
        )
    state = fresh(())
    state.load(before[0], same_slice=False)
    return state


def _differing(made: Path, metadata: Mapping[str, str]) -> list[str]:
    """What of a state's origin is not as it should be; of other settings its tensors may not even fit."""
    return training.same_origin(tensor_files.load(made, lambda name: False)[1], metadata)


class _Progress:
    """Called after every iteration by the first process: shows, logs, foretells, saves at an interval in seconds."""

    def __init__(
        self, stack: ExitStack, output: Path, metadata: dict[str, str], block: config.Train, first: int, until: int
    ) -> None:
        self.output, self.metadata, self.block, self.first, self.until = output, metadata, block, first, until
        self.saved = self.clock = time.monotonic()
        self.curves = stack.enter_context(_curves(output.parent / "tensorboard", first)) if block.tensorboard else None
        self.bar = stack.enter_context(tqdm(total=until, initial=first, desc="train", unit="it", disable=None))

    def __call__(self, state: training.State) -> None:
        self.bar.update()
        if state.iteration % self.block.log_every == 0:
            self._show(state)
        self._foretell(state.iteration - self.first)
        if time.monotonic() - self.saved >= self.block.save_seconds:
            state.save(_progress_file(self.output), self.metadata)
            self.saved = time.monotonic()

    def finish(self, state: training.State, signal: int) -> None:
        """Write the slice's end, or its progress where a signal came before it."""
        progress = _progress_file(self.output)
        if signal:
            state.save(progress, self.metadata)
            logger.info("signal %d: saved iteration %d; the same command goes on from it", signal, state.iteration)
        else:
            state.save(self.output, self.metadata)
            progress.unlink(missing_ok=True)

    def _show(self, state: training.State) -> None:
        row = dict(zip(training.HISTORY, state.history[-1], strict=True))
        self.bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
        if state.iteration % (10 * self.block.log_every) == 0:
            logger.info(
                "iteration %d loss %.4f learning rate %.2e ema decay %.5f, %.0f images/s",
                state.iteration, *list(row.values())[1:],
            )  # fmt: skip
        if self.curves is not None:
            for name, value in list(row.items())[1:]:
                self.curves.add_scalar(name, value, state.iteration)

    def _foretell(self, passed: int) -> None:
        if passed == MEASURED.start:
            self.clock = time.monotonic()
        elif passed == MEASURED.stop:
            hours = (time.monotonic() - self.clock) / len(MEASURED) / 3600
            logger.info(
                "about %s for %d iterations on %d device%s; this slice %s",
                _duration(hours * self.block.iterations), self.block.iterations, self.block.devices,
                "s" if self.block.devices > 1 else "", _duration(hours * (self.until - self.first)),
            )  # fmt: skip


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _curves(folder: Path, iteration: int) -> Any:
    """A writer for TensorBoard that takes back what was written after `iteration`, before a stop."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("train.tensorboard: the package is missing; pip install tensorboard") from error
    return SummaryWriter(str(folder), purge_step=iteration + 1)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = processes.silence_workers(logger, sys.argv[1:] if argv is None else argv)
    return program.run(stage, arguments, __doc__, memory_setting="train.micro_batch_size")


if __name__ == "__main__":
    sys.exit(main())
