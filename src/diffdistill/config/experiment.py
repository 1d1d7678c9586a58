"""An experiment, and what must fit between its blocks."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from diffdistill.config.blocks import Blocks
from diffdistill.config.fid import Checkpoint
from diffdistill.config.protocols import with_named_protocol
from diffdistill.config.sampling import Guidance

BLOCKS_OF_GENERATOR = ("generator", "model", "train", "fid", "checkpoint", "tune", "sample")
MAX_MEASUREMENTS = 2_000
"""FID measurements and pilot trainings of one experiment; each is a job or a good part of one."""


class Experiment(Blocks):
    """One experiment, whose blocks fit each other."""

    @model_validator(mode="before")
    @classmethod
    def _named_protocol(cls, values: Any) -> Any:
        return with_named_protocol(values)

    @model_validator(mode="before")
    @classmethod
    def _without_a_generator(cls, values: Any) -> Any:
        """A file that adds `refine: {start: real}` to an experiment need not take its generator out."""
        refine = values.get("refine") if isinstance(values, Mapping) else None
        if not isinstance(refine, Mapping) or refine.get("start") not in ("real", "noise"):
            return values
        if refine.get("parametrisation") == "latent":
            return values
        return {key: value for key, value in values.items() if key not in BLOCKS_OF_GENERATOR}

    @model_validator(mode="after")
    def _blocks_fit_the_generator(self) -> Self:
        if not self.generates:
            return self
        kind = self.generator.kind
        required = {"train": {"model", "train", "sample"}, "samples": set[str]()}.get(kind, {"sample"})
        allowed = required | ({"fid", "tune", "checkpoint"} if self.trains else set())
        given = {name for name in ("model", "train", "fid", "tune", "sample") if getattr(self, name) is not None}
        if self.checkpoint != Checkpoint():
            given.add("checkpoint")
        for name in sorted(required - given):
            raise ValueError(f"{name} is missing; generator.kind '{kind}' needs it")
        for name in sorted(given - allowed):
            raise ValueError(f"generator.kind '{kind}' takes no {name}; remove it")
        return self

    @model_validator(mode="after")
    def _generator_samples_so(self) -> Self:
        """Modes and tuned weights come from a training here, guidance from a denoiser."""
        if self.sample is None or self.trains:
            return self
        kind, guidance = self.generator.kind, self.sample.guidance
        if self.sample.modes is not None:
            raise ValueError(f"generator.kind '{kind}' takes no sample.modes; remove it")
        if self.sample.solver.algorithm == "consistency":
            raise ValueError(
                f"sample.solver.algorithm 'consistency' needs weights that are tuned here, and generator.kind '{kind}' "
                "has none; take another algorithm"
            )
        if guidance is not None and kind != "weights":
            instead = ", or give generator.guidance" if kind == "pipeline" else ""
            raise ValueError(f"generator.kind '{kind}' takes no sample.guidance; remove it{instead}")
        if guidance is not None and guidance.from_step is not None:
            raise ValueError(
                "sample.guidance.from_step: generator.kind 'weights' has no weights of an earlier iteration; remove it"
            )
        return self

    @model_validator(mode="after")
    def _optimiser_fits(self) -> Self:
        if self.train is None or self.model is None or self.train.optimiser == "adamw" or self.model.hidden_matrices:
            return self
        raise ValueError(
            f"train.optimiser 'muon' has nothing to step in a network of kind '{self.model.kind}'; use adamw"
        )

    @model_validator(mode="after")
    def _sampling_fits(self) -> Self:
        if self.fid is not None and self.fid.solver.algorithm == "consistency":
            raise ValueError("fid.solver: 'consistency' needs tuned weights, and fid measures untuned ones; change it")
        if self.sample is None or not self.trains:
            return self
        consistency = self.sample.solver.algorithm == "consistency"
        if consistency and self.tune is None:
            raise ValueError("sample.solver.algorithm 'consistency' needs tuned weights; add the block tune")
        if consistency and self.checkpoint.by == "pilot":
            raise ValueError(
                "checkpoint.by 'pilot' samples untuned weights, but sample.solver.algorithm 'consistency' needs tuned "
                "ones; set checkpoint.by: fid"
            )
        if self.sample.modes is not None and self.checkpoint.setups is not None:
            raise ValueError("sample.modes: checkpoint.setups picks among ways of sampling without modes; remove one")
        if self.sample.guidance is None:
            return self
        if consistency:
            raise ValueError("sample.guidance and sample.solver.algorithm 'consistency' cannot be combined; remove one")
        self._guidance_fits("sample.guidance", self.sample.guidance)
        return self

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        if self.train is None:
            return self
        if self.fid is None:
            if self.checkpoint.by in ("fid", "pilot"):
                raise ValueError(f"checkpoint.by '{self.checkpoint.by}' needs the block fid; add it, or set by: last")
            return self
        every, train = self.fid.every, self.train
        for name, value in (("slice_iterations", train.slice_iterations), ("iterations", train.iterations)):
            if value % every:
                raise ValueError(f"train.{name} {value} is not a multiple of fid.every {every}")
        if train.iterations // every > MAX_MEASUREMENTS:
            raise ValueError(self._too_many(train.iterations // every, "FID measurements"))
        for step in self.checkpoint.candidates or ():
            if step > train.iterations or step % every:
                raise ValueError(
                    f"checkpoint.candidates: {step} is not measured; give multiples of fid.every {every} up to "
                    f"train.iterations {train.iterations}"
                )
        pilots = len(self.pilots()) * len(self.checkpoint.seeds)
        if len(self.emas()) + pilots > MAX_MEASUREMENTS:
            what = f"FID measurements ({len(self.emas())}) and pilot trainings ({pilots})"
            raise ValueError(self._too_many(len(self.emas()) + pilots, what))
        return self

    def _too_many(self, count: int, what: str) -> str:
        return (
            f"{count} {what}; the limit is {MAX_MEASUREMENTS}: raise fid.every, or lower the number of "
            "train.ema_decays, checkpoint.candidates, checkpoint.setups or checkpoint.seeds"
        )

    @model_validator(mode="after")
    def _setups_fit(self) -> Self:
        for number, setup in enumerate(self.checkpoint.setups or ()):
            if setup.guidance is not None:
                self._guidance_fits(f"checkpoint.setups.{number}.guidance", setup.guidance)
        if self.checkpoint.by == "pilot" and not self.pilots():
            raise ValueError(
                "checkpoint: no candidate comes after the iteration that guides it (from_step); add later ones"
            )
        return self

    def _guidance_fits(self, key: str, guidance: Guidance) -> None:
        assert self.train is not None
        if guidance.from_step is None and not self.train.label_dropout:
            raise ValueError(
                f"{key} without from_step needs a network trained with label dropout; set train.label_dropout above "
                "0, such as 0.1"
            )
        if guidance.from_step is not None and guidance.from_step not in self.ema_steps():
            steps = f"multiples of fid.every {self.fid.every}" if self.fid is not None else "the block fid first"
            raise ValueError(
                f"{key}.from_step: the weights of iteration {guidance.from_step} are not kept; give {steps} up to "
                f"train.iterations {self.train.iterations}"
            )

    @model_validator(mode="after")
    def _refining_fits(self) -> Self:
        if self.refine is None or self.refine.parametrisation != "latent":
            return self
        if not self.trains:
            raise ValueError(
                f"refine.parametrisation 'latent' needs a diffusion model, but generator.kind '{self.generator.kind}' "
                "has none; set it to pixels"
            )
        if self.refine.solver.algorithm == "consistency" and self.tune is None:
            raise ValueError("refine.solver.algorithm 'consistency' needs tuned weights; add the block tune")
        return self

    @model_validator(mode="after")
    def _study_fits(self) -> Self:
        study = self.study
        if study is None:
            return self
        if study.equal_steps and study.epochs_in_steps(self.evaluate.protocol) is None:
            raise ValueError(
                "study.equal_steps: evaluate.protocol counts steps, which are equal already; set it to false, or give "
                "study.epochs"
            )
        for select in (self.select, *(setup.select for setup in self.checkpoint.setups or ())):
            if study.budget_fractions and select is not None and select.method != "all":
                raise ValueError(
                    f"study.budget_fractions: select.method '{select.method}' changes the order of the samples; leave "
                    "the list empty, or set select.method: all"
                )
        if study.resamplings and not self.trains:
            raise ValueError(f"study.resamplings: generator.kind '{self.generator.kind}' cannot sample; remove it")
        if study.resamplings and self.refine is not None:
            raise ValueError("study.resamplings does not refine what it samples; remove it, or the block refine")
        if study.budget_fractions and self.refine is not None:
            raise ValueError("study.budget_fractions: a refined set is no part of the samples; leave the list empty")
        if study.resamplings and len(self.evaluate.seeds) < 2:
            raise ValueError("study.resamplings needs at least two evaluate.seeds to separate sets from trainings")
        return self
