"""An experiment: its blocks, what must fit between them, and what follows from them."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import model_validator

from diffdistill.config.evaluation import Audit, Classifier, Evaluate, Protocol, TrainSet
from diffdistill.config.export import Export
from diffdistill.config.fid import Checkpoint, Fid
from diffdistill.config.fields import Block, Name, PositiveInt
from diffdistill.config.generator import Generator, TrainGenerator
from diffdistill.config.model import Model
from diffdistill.config.protocols import with_named_protocol
from diffdistill.config.refine import Refine
from diffdistill.config.release import Release
from diffdistill.config.sampling import Guidance, Sample, SamplingSetup, Select
from diffdistill.config.source import Source
from diffdistill.config.study import SAMPLE_SETS, Run, Study
from diffdistill.config.training import Ema, Train, Tune, checkpoint_name
from diffdistill.errors import UserError

MAX_MEASUREMENTS = 2_000
"""FID measurements and pilot trainings of one experiment; each is a job or a good part of one."""


class Experiment(Block):
    renamed: ClassVar = {"choose": "checkpoint"}

    dataset: Name | None = None
    """The folder of data/ that this experiment reads; null: the experiment's own name."""
    threads: PositiveInt = 8
    """CPU threads of a job that trains or measures the network, if the machine has as many."""
    source: Source
    generator: Generator = TrainGenerator()
    """What makes the images: a diffusion model that is trained here, or a finished set."""
    model: Model | None = None
    train: Train | None = None
    fid: Fid | None = None
    """Null: checkpoints are not measured, and the last one is taken."""
    checkpoint: Checkpoint = Checkpoint()
    tune: Tune | None = None
    """Null: the checkpoint is sampled as it is."""
    sample: Sample | None = None
    select: Select = Select()
    refine: Refine | None = None
    """Null: the selection is the distilled set as it is."""
    classifier: Classifier = Classifier()
    evaluate: Evaluate
    study: Study | None = None
    """Null: only the main evaluation."""
    audit: Audit | None = Audit()
    """Null: no audit."""
    release: Release = Release()
    export: Export = Export()

    @model_validator(mode="before")
    @classmethod
    def _named_protocol(cls, values: Any) -> Any:
        return with_named_protocol(values)

    @model_validator(mode="after")
    def _blocks_fit_the_generator(self) -> Self:
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
    def _sampling_fits(self) -> Self:
        if self.fid is not None and self.fid.solver.algorithm == "consistency":
            raise ValueError("fid.solver: 'consistency' needs tuned weights, and fid measures untuned ones; change it")
        if self.sample is None:
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

    @property
    def trains(self) -> bool:
        """Whether a diffusion model is trained here."""
        return isinstance(self.generator, TrainGenerator)

    @property
    def sampling_rule(self) -> str:
        """The rule that makes the samples: sample, generate or import_set."""
        return {"train": "sample", "samples": "import_set"}.get(self.generator.kind, "generate")

    @property
    def checkpoint_by(self) -> str:
        """How the checkpoint is picked: fid, pilot or last."""
        return self.checkpoint.by or ("last" if self.fid is None else "fid")

    def study_runs(self) -> dict[str, Run]:
        """The trainings of the study by name. Raises UserError if there is no study."""
        if self.study is None:
            raise UserError("study is null; say what to train, such as {images_per_class: [10, 50, 100]}")
        return self.study.runs(self.evaluate.protocol, self.sample_sets)

    def study_run(self, name: str) -> Run:
        """Raises UserError with the known names."""
        if name not in self.study_runs():
            raise UserError(f"the study plans no '{name}'; planned: {', '.join(self.study_runs()) or 'nothing'}")
        return self.study_runs()[name]

    @property
    def sample_sets(self) -> tuple[TrainSet, ...]:
        """If the distilled set is a selection or refined samples: the sets of samples that it is compared with."""
        if self.refine is not None:
            return SAMPLE_SETS if self.refine.start == "generated" else ()
        setups = self.checkpoint.setups
        blocks = (self.select,) if setups is None else tuple(setup.select for setup in setups)
        methods = {block.method for block in blocks if block is not None} - {"all"}
        return SAMPLE_SETS if methods - {"random"} else SAMPLE_SETS[1:] if methods else ()

    @property
    def classifier_protocol(self) -> Protocol:
        """How the classifier is trained."""
        return self.classifier.protocol or self.evaluate.protocol

    @property
    def fid_devices(self) -> int:
        """Processes that share the images of a measurement, all on one node."""
        own = self.fid.devices if self.fid is not None else None
        return self.train.measuring(own) if self.train is not None else own or 1

    @property
    def pilot_protocol(self) -> Protocol:
        """How the pilot's ConvNets are trained."""
        full = self.evaluate.protocol
        half = {name: max(1, length // 2) for name in ("steps", "epochs") if (length := getattr(full, name))}
        return self.checkpoint.protocol or full.model_copy(update=half)

    @property
    def snapshot_every(self) -> int:
        """Iterations between EMA weights that are kept."""
        assert self.train is not None
        return self.train.iterations if self.fid is None else self.fid.every

    def ema_steps(self) -> list[int]:
        """The iterations whose EMA weights are kept."""
        if self.train is None:
            return []
        return list(range(self.snapshot_every, self.train.iterations + 1, self.snapshot_every))

    def emas(self, steps: Sequence[int] | None = None) -> list[Ema]:
        """The EMA weights of some iterations, or of all that are kept.

        Those of iteration 100 are called 100, and 100-ema1 with the second decay.
        """
        decays = self.train.ema_decays if self.train is not None else ()
        return [
            Ema(checkpoint_name(step, number), step, decay)
            for step in (self.ema_steps() if steps is None else steps)
            for number, decay in enumerate(decays)
        ]

    def ema(self, name: str) -> Ema:
        """One of these by name. Raises UserError with the known names."""
        known = {ema.name: ema for ema in self.emas()}
        if name not in known:
            raise UserError(f"no weights '{name}' are kept; kept: {', '.join(known)}")
        return known[name]

    def pilots(self) -> list[tuple[Ema, int]]:
        """What the pilot tries: EMA weights and numbers of sampling setups; nothing unless it picks."""
        steps = self.checkpoint.candidates or self.ema_steps() if self.checkpoint.by == "pilot" else ()
        return [
            (ema, number)
            for step in steps
            for ema in self.emas([step])
            for number, setup in enumerate(self.pilot_setups)
            if setup.guidance is None or (setup.guidance.from_step or 0) < step
        ]

    @property
    def pilot_setups(self) -> tuple[SamplingSetup, ...]:
        """The sampling setups that the pilot tries, complete."""
        assert self.sample is not None
        if self.checkpoint.setups is None:
            select = None if self.select.counts else self.select
            return (SamplingSetup(solver=self.sample.solver, guidance=self.sample.guidance, select=select),)
        solver = self.sample.solver
        return tuple(setup.model_copy(update={"solver": setup.solver or solver}) for setup in self.checkpoint.setups)
