"""A generator made of a denoiser and a solver."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from diffdistill.config import Guidance, Sample, Solver
from diffdistill.diffusion import checkpoints, running, sampling
from diffdistill.diffusion.checkpoints import Checkpoint
from diffdistill.diffusion.denoiser import Counting, Denoiser
from diffdistill.diffusion.guidance import Guided
from diffdistill.errors import UserError

Guide = Callable[[Denoiser, int, Tensor], Denoiser]
"""(denoiser, first, labels (B,)) -> what is sampled in its place for images first, first+1, … of these labels."""


class DiffusionGenerator:
    """Samples a denoiser with a solver, guided or not; counts evaluations below all guidance."""

    def __init__(
        self,
        denoiser: Denoiser,
        solver: Solver,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        guidance: Guidance | None = None,
        weaker: Denoiser | None = None,
        guide: Guide | None = None,
        fixed_batch_size: int | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        """weaker: the denoiser that guides; None: `denoiser` itself without the label.

        guide: wraps the denoiser anew for each batch. fixed_batch_size: samples exactly so many images at once and
        discards what is too many, as a compiled network needs. about: what `describe` says besides.
        Raises ValueError if guidance needs a null label and there is none.
        """
        self._own = Counting(denoiser)
        self._weaker = Counting(weaker) if weaker is not None else None
        self._denoiser: Denoiser = self._own
        if guidance is not None:
            self._denoiser = Guided(self._own, guidance, self._weaker)
        self._guide = guide or (lambda denoiser, first, labels: denoiser)
        self.solver, self.guidance, self.seed = solver, guidance, seed
        self.fixed_batch_size, self._device, self._about = fixed_batch_size, torch.device(device), about or {}
        self.nfe: int | None = None
        """Network evaluations per image, both networks counted; None before the first image."""

    @property
    def num_classes(self) -> int:
        return self._denoiser.labels.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self._denoiser.image_shape

    @property
    def _calls(self) -> int:
        return self._own.calls + (self._weaker.calls if self._weaker is not None else 0)

    def generate(self, first: int, labels: Tensor) -> Tensor:
        """See `Generator.generate`. Raises UserError if an image is not finite."""
        size, before = self.fixed_batch_size or 0, self._calls
        padding = max(0, size - len(labels))
        padded = torch.cat([labels, labels.new_zeros(padding)])
        guided = self._guide(self._denoiser, first, padded)
        images = sampling.sample(guided, self.solver, padded, seed=self.seed, first=first, device=self._device)
        self.nfe = self._calls - before
        return images[: len(labels)]

    def describe(self, images: int) -> dict[str, Any]:
        """See `Generator.describe`; `nfe` once an image was sampled."""
        return {
            "kind": "diffusion",
            **self._about,
            "nfe": self.nfe,
            "solver": self.solver.model_dump(mode="json"),
            "guidance": None if self.guidance is None else self.guidance.model_dump(mode="json"),
            "seed": self.seed,
        }

    @classmethod
    def of_checkpoint(
        cls,
        checkpoint: Checkpoint,
        solver: Solver,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        guidance: Guidance | None = None,
        guides: Sequence[Path | str] = (),
        plan: running.Plan | None = None,
    ) -> Self:
        """A checkpoint sampled as it is, or as planned; guides: weights files among which that of from_step is found.

        Raises UserError if the solver needs tuned weights, or if guidance needs weights or a null label that are
        missing.
        """
        require_tuned(checkpoint, solver)
        denoiser: Denoiser = checkpoint.denoiser if plan is None else plan.denoiser
        weaker: Denoiser | None = None
        if guidance is not None and guidance.from_step is not None:
            guide = checkpoints.load_guide(guides, guidance.from_step, checkpoint, device).denoiser
            weaker = guide if plan is None else running.prepared(guide, plan.precision, plan.compiled)
        elif guidance is not None and not denoiser.labels.null_label:
            raise UserError(f"{checkpoint.path}: trained without label dropout, so it cannot guide itself")
        return cls(
            denoiser, solver, seed=seed, device=device, guidance=guidance, weaker=weaker,
            fixed_batch_size=plan.batch_size if plan is not None else None, about=describe(checkpoint),
        )  # fmt: skip


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Plain values for the account."""
    return {
        "model": checkpoint.denoiser.model.model_dump(mode="json"),
        "parameters": checkpoint.denoiser.parameter_count,
        "bytes": checkpoint.path.stat().st_size,
        "step": checkpoint.step,
        "tuned": checkpoint.tuned,
    }


def require_tuned(checkpoint: Checkpoint, solver: Solver) -> None:
    """Raises UserError if the solver is for tuned weights and these are not."""
    if solver.algorithm == "consistency" and not checkpoint.tuned:
        raise UserError(f"{checkpoint.path}: not tuned, but the solver 'consistency' needs tuned weights")


def plan(checkpoint: Checkpoint, settings: Sample, device: torch.device) -> running.Plan:
    """How to run a checkpoint for these settings; see `running.plan`."""
    return running.plan(
        checkpoint.denoiser, precision=settings.precision, compile=settings.compile, batch_size=settings.batch_size,
        budget_seconds=settings.budget_seconds, device=device,
    )  # fmt: skip
