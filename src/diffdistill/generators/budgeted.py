"""Sampling within a budget of seconds: images go to disk as they come, and every second is accounted for."""

import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffdistill.config import Sample
from diffdistill.config.checks import unknown_class
from diffdistill.data import image_files
from diffdistill.diffusion.labels import balanced, in_proportion
from diffdistill.errors import UserError
from diffdistill.generators import Generator
from diffdistill.runtime import devices, files, resuming
from diffdistill.runtime.budget import BatchSize, Budget
from diffdistill.runtime.progress import Bar

logger = logging.getLogger(__name__)


class BudgetError(UserError):
    """A budget that was too short, or that was exceeded."""


@dataclass(frozen=True)
class Account:
    """What a sampling job did with its seconds."""

    images: int
    images_discarded_late: int
    """Images that were sampled, but not in time."""
    images_per_second: float
    budget_seconds: float | None
    used_seconds: float
    """From the start of the clock until the last image was on disk."""
    seconds: dict[str, float]
    """By phase; they add up to used_seconds."""
    seconds_late: float
    """Spent after the last image was on disk: on images that came too late, and on closing the file."""
    start_share: float
    """Share of used_seconds that passed before the first image of the set was begun."""
    batch_size: int
    """Of the last batch."""

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def class_counts(counts: str | Mapping[str, int], classes: Sequence[str], train_labels: Tensor | None) -> list[int]:
    """Images per class (K,) that `counts` means: balanced, real (as train_labels int64 (N,)) or by class name.

    Raises UserError for an unknown class.
    """
    if counts == "balanced":
        return [1] * len(classes)
    if isinstance(counts, str):
        assert train_labels is not None
        return train_labels.bincount(minlength=len(classes)).tolist()
    if unknown := [name for name in counts if name not in classes]:
        raise UserError(unknown_class(unknown[0], classes))
    return [counts.get(name, 0) for name in classes]


def sample_within(
    generator: Generator,
    path: Path | str,
    metadata: Mapping[str, str],
    *,
    budget: Budget,
    batch_size: int,
    images: int | None = None,
    fixed: bool = False,
    counts: Sequence[int] | None = None,
) -> Account:
    """Write as many images as fit into the budget, or a fixed number.

    counts: images per class (K,), whose proportions every prefix follows; None: classes are 0..K-1 repeated.
    metadata: of the file, with the class names. budget: its clock has started; an infinite one needs `images`.
    batch_size: the largest; fixed: the only one but for the last batch. A failure leaves no file.
    Raises BudgetError if not one image fits, or if the budget was exceeded, and OSError if a fixed number of images
    finds no room on the disk.
    """
    limited = budget.seconds != float("inf")
    if images is None and not limited:
        raise ValueError("give a number of images or a budget that is not infinite")
    if images is not None:
        files.require_room(Path(path), images * math.prod(generator.image_shape))
    with budget.phase("warm up"):  # the first call pays for allocation and choice of kernels; its image comes again
        before = budget.used
        generator.generate(0, balanced(0, 1, generator.num_classes))
        warm = budget.used - before
    classes = in_proportion([1] * generator.num_classes if counts is None else counts)
    started = budget.used
    run = _Run(generator, classes, budget, images, batch_size, fixed, warm)
    with (
        image_files.Writer(Path(path), generator.image_shape, metadata) as writer,
        ThreadPoolExecutor(1) as beside,  # a batch is written while the next one is sampled
        Bar(total=images, desc="sample", unit="image", disable=None) as bar,
    ):
        run.fill(writer, beside, bar)
        if not run.done:
            raise BudgetError(
                f"a budget of {budget.seconds:g} s does not suffice for a single image: {budget.used:.1f} s went into "
                "loading and warming up; give a longer one"
            )
        with budget.phase("write"):
            last_written = run.written.result()
            if not run.late:
                writer.finish()
        # of what came too late nothing is in the set: its clock stopped with the last write in time
        used = last_written if run.late else budget.used
        seconds = budget.account(until=used, without=("late",))
        if run.late:
            writer.finish()
    if limited and used > budget.seconds:
        Path(path).unlink()
        raise BudgetError(
            f"{used:.2f} s were used of a budget of {budget.seconds:g} s, by phase {seconds}; the set is deleted: run "
            "again when the machine is less busy, or give a longer budget"
        )
    return Account(
        images=run.done,
        images_discarded_late=run.late,
        images_per_second=round(run.done / used, 2),
        budget_seconds=budget.seconds if limited else None,
        used_seconds=round(used, 3),
        seconds=seconds,
        seconds_late=round(budget.used - used, 3) if run.late else 0.0,
        start_share=round(started / used, 4),
        batch_size=run.batch_size,
    )


def sample_to_files(
    generator: Generator,
    samples: Path | str,
    account: Path | str,
    metadata: Mapping[str, str],
    settings: Sample,
    counts: Sequence[int],
    *,
    budget: Budget,
    device: torch.device,
    attempts: int,
    fixed_batch_size: int | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Sample as `sample_within` does and write the account: what became of the seconds, of what, where, and by what.

    attempts: at `samples`, this one included. about: what the account says besides.
    """
    made = sample_within(
        generator, samples, metadata, budget=budget, images=settings.images,
        batch_size=fixed_batch_size or settings.batch_size, fixed=fixed_batch_size is not None, counts=counts,
    )  # fmt: skip
    logger.info("%d images in %.2f s, %.1f per second", made.images, made.used_seconds, made.images_per_second)
    record = {
        **made.describe(),
        "attempts": attempts,
        **(about or {}),
        "generator": generator.describe(made.images),
        "machine": devices.describe(device),
        "seed": settings.seed,
        "classes": generator.num_classes,
    }
    files.write_json(Path(account), record)
    resuming.attempts_over(samples)


class _Run:
    """The loop: batch after batch until the number is reached or nothing more fits."""

    def __init__(
        self, generator: Generator, classes: Tensor, budget: Budget, images: int | None, batch_size: int, fixed: bool,
        warm: float,
    ) -> None:  # fmt: skip
        """classes: of the first images, then of the next, and so on; warm: seconds of the first image."""
        self._generator, self._classes, self._budget, self._images = generator, classes, budget, images
        self._fixed = batch_size if fixed else None
        self._sizes = BatchSize(batch_size)
        self._limited = budget.seconds != float("inf")
        self._reserve = 0.1 + (0.002 * budget.seconds if self._limited else 0)  # closing the file, and leaving
        self._seconds_per_image = self._least_seconds = warm
        self.done, self.late, self.batch_size = 0, 0, batch_size
        self.written: Future[float]

    def fill(self, writer: image_files.Writer, beside: ThreadPoolExecutor, bar: Bar) -> None:
        """Sample and write; `late` is what came too late to be written in time."""
        budget = self._budget

        def write(images: Tensor, labels: Tensor) -> float:
            writer.append(images, labels)
            return budget.used

        self.written = beside.submit(lambda: budget.used)
        while self.done != self._images:
            count = self._next()
            if not count:
                return
            labels = self._classes[torch.arange(self.done, self.done + count) % len(self._classes)]
            before = budget.used
            images = self._generator.generate(self.done, labels)
            spent = budget.used - before
            if self._limited and budget.used + self._reserve > budget.seconds:
                budget.book("late", spent)  # the machine was held up
                self.late = count
                return
            budget.book("sample", spent)
            with budget.phase("write"):
                self.written.result()
            self.written = beside.submit(write, images, labels)
            self.done += count
            bar.update(count)
            self._sizes.took(count, spent)
            self._seconds_per_image, self._least_seconds = spent / count, min(spent, self._least_seconds)

    def _next(self) -> int:
        """How many images to sample next; 0 if none fit."""
        self.batch_size = self._fixed or self._sizes.next()
        count = self.batch_size if self._images is None else min(self.batch_size, self._images - self.done)
        if not self._limited:
            return count
        return self._budget.fitting(count, self._seconds_per_image, self._least_seconds, self._reserve)
