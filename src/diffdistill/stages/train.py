"""Reads the train split and the previous slice's end; writes the end state of one slice of training.

Progress inside the slice is kept in a file beside the output that no rule declares: the same command goes on from it.
"""

import fcntl
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from diffdistill import config
from diffdistill.data import images as image_files
from diffdistill.diffusion import training
from diffdistill.diffusion.weights import Shape
from diffdistill.errors import UserError
from diffdistill.runtime import device as devices
from diffdistill.runtime import program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.use_threads(job.threads)
    device = devices.best_device()
    model = config.read(config.Model, job.config["model"])
    block = config.read(config.Train, job.config["train"])
    until: int = job.config["until"]
    output = job.output("state")
    data = image_files.load(job.input("train"))
    shape = Shape(data.images.shape[-1], data.images.shape[1], len(data.classes), **model.model_dump())
    recipe = training.Recipe(
        snapshot_every=job.config["every"], **block.model_dump(exclude={"slice_iterations", "save_seconds"})
    )

    def fresh() -> training.State:
        return training.State.start(training.initialise(shape.build, block.seed).to(device), recipe)

    # what makes two slices one run: the length of a slice and the rhythm of saving are not part of it
    origin = {
        "model": job.config["model"],
        "every": job.config["every"],
        "train": block.model_dump(mode="json", exclude={"slice_iterations", "save_seconds", "log_every"}),
    }
    metadata = training.metadata_of(json.dumps(origin, sort_keys=True), data.metadata)
    metadata |= {"shape": json.dumps(shape.__dict__), "machine": json.dumps(devices.describe(device))}
    with ExitStack() as stack:
        _lock(stack, output)
        state = _take_up(fresh, job.inputs.get("before", []), output, metadata)
        parameters = sum(parameter.numel() for parameter in state.network.parameters())
        logger.info(
            "U-ViT with %.2f M parameters, %d images of %s, iterations %d to %d, batch %d = 1 device x %d, seed %d",
            parameters / 1e6, len(data.images), tuple(data.images.shape[1:]), state.iteration, until,
            block.batch_size, block.batch_size, block.seed,
        )  # fmt: skip
        saver = _Saver(_progress_file(output), metadata, block.save_seconds, block.log_every)
        saver.watch_signals()
        x0 = image_files.from_bytes(data.images).to(device)
        with tqdm(total=until, initial=state.iteration, desc="train", unit="it", disable=None) as bar:
            saver.bar = bar
            training.train(state, x0, data.labels.to(device), recipe, until=until, after_iteration=saver)
    state.save(output, metadata)
    _progress_file(output).unlink(missing_ok=True)


def _progress_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}.progress{output.suffix}")


def _lock(stack: ExitStack, output: Path) -> None:
    """Refuse a second process on the same slice; the kernel frees the lock however this one ends."""
    output.parent.mkdir(parents=True, exist_ok=True)
    handle = stack.enter_context(_progress_file(output).with_suffix(".lock").open("w"))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{output}: another process trains this slice; wait for it or stop it") from error
    stack.callback(lambda: Path(handle.name).unlink(missing_ok=True))


def _take_up(
    fresh: Callable[[], training.State], before: list[Path], output: Path, metadata: dict[str, str]
) -> training.State:
    """This slice's saved progress if there is one that fits, else the end of the slice before, else a new start."""
    progress, state = _progress_file(output), fresh()
    if progress.exists():
        differing = training.same_origin(state.load(progress, same_slice=True), metadata)
        if not differing:
            logger.info("going on from %s at iteration %d", progress, state.iteration)
            return state
        logger.info("%s was made with other settings (%s); starting the slice anew", progress, ", ".join(differing))
        state = fresh()
    if before:
        differing = training.same_origin(state.load(before[0], same_slice=False), metadata)
        if differing:
            raise UserError(
                f"{before[0]} was trained with other settings ({', '.join(differing)}) than this slice asks for; "
                "run snakemake again: it retrains the slices that changed"
            )
    return state


class _Saver:
    """Called after every iteration: moves the bar, saves at an interval in seconds and when told to stop."""

    def __init__(self, path: Path, metadata: dict[str, str], interval_seconds: float, log_every: int) -> None:
        self.path, self.metadata, self.interval_seconds, self.log_every = path, metadata, interval_seconds, log_every
        self.saved, self.stop_signal = time.monotonic(), 0
        self.bar: Any = None

    def watch_signals(self) -> None:
        def remember(number: int, frame: FrameType | None) -> None:
            self.stop_signal = number

        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, remember)

    def __call__(self, state: training.State) -> None:
        if self.bar is not None:
            self.bar.update()
        if state.iteration % self.log_every == 0:
            _, loss, rate, decay, speed = state.history[-1]
            if self.bar is not None:
                self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            if state.iteration % (10 * self.log_every) == 0:
                logger.info("iteration %d loss %.4f learning rate %.2e ema decay %.5f, %.0f images/s",
                            state.iteration, loss, rate, decay, speed)  # fmt: skip
        if self.stop_signal or time.monotonic() - self.saved >= self.interval_seconds:
            state.save(self.path, self.metadata)
            self.saved = time.monotonic()
        if self.stop_signal:
            logger.info(
                "signal %d: saved iteration %d; the same command goes on from it", self.stop_signal, state.iteration
            )
            sys.exit(128 + self.stop_signal)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
