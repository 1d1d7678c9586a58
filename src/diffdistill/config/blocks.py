"""The blocks of an experiment, and what follows from them."""

from collections.abc import Sequence
from typing import ClassVar

from diffdistill.config.evaluation import Audit, Classifier, Evaluate, Protocol, TrainSet
from diffdistill.config.export import Export
from diffdistill.config.fid import Checkpoint, Fid
from diffdistill.config.fields import Block, Name, PositiveInt
from diffdistill.config.generator import Generator, TrainGenerator
from diffdistill.config.model import Model
from diffdistill.config.refine import Refine
from diffdistill.config.release import Release
from diffdistill.config.sampling import Sample, SamplingSetup, Select
from diffdistill.config.source import Source
from diffdistill.config.study import SAMPLE_SETS, Run, Study
from diffdistill.config.training import Ema, Train, Tune, checkpoint_name
from diffdistill.errors import UserError


class Blocks(Block):
    """The fields of an `Experiment`."""

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
    """Null: the selection is the distilled set as it is. Refining that starts from real images, or from noise for
    pixels, needs no generator: generator, model, train, fid, checkpoint, tune and sample can be left out, and are
    ignored."""
    classifier: Classifier = Classifier()
    evaluate: Evaluate
    study: Study | None = None
    """Null: only the main evaluation."""
    audit: Audit | None = Audit()
    """Null: no audit."""
    release: Release = Release()
    export: Export = Export()

    @property
    def generates(self) -> bool:
        """Whether a generator has a part in the distilled set."""
        return self.refine is None or self.refine.from_generator

    @property
    def trains(self) -> bool:
        """Whether a diffusion model is trained here."""
        return self.generates and isinstance(self.generator, TrainGenerator)

    @property
    def samples(self) -> bool:
        """Whether the distilled set is made of samples: latent noise is refined without any."""
        return self.refine is None or self.refine.from_samples

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
            return SAMPLE_SETS if self.samples else ()
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
