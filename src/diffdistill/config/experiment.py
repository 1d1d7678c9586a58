"""An experiment: its blocks, what must fit between them, and what follows from them."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import model_validator

from diffdistill.config.evaluation import Audit, Choose, Evaluate, Fid, Protocol
from diffdistill.config.fields import Block, Name, PositiveInt
from diffdistill.config.model import Model
from diffdistill.config.sampling import Export, Guidance, Sample, SamplingSetup, Select
from diffdistill.config.source import Source
from diffdistill.config.study import DRAWN_SETS, Run, Study
from diffdistill.config.training import Train, Tune, checkpoint_name, split_checkpoint_name
from diffdistill.errors import UserError

MOST_MEASUREMENTS = 10_000
"""Each is some jobs of the workflow."""


class Experiment(Block):
    dataset: Name | None = None
    """The folder of data/ that this experiment reads; null: the experiment's own name."""
    threads: PositiveInt = 8
    """CPU threads of a job that trains or measures the network, where the machine has as many."""
    source: Source
    model: Model
    train: Train
    fid: Fid
    choose: Choose = Choose()
    tune: Tune | None = None
    """Null: the chosen weights draw as they are."""
    sample: Sample
    select: Select = Select()
    evaluate: Evaluate
    study: Study | None = None
    """Null: nothing beside the main evaluation."""
    audit: Audit = Audit()
    export: Export = Export()

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        if self.train.slice_iterations % self.fid.every:
            raise ValueError(
                f"train.slice_iterations {self.train.slice_iterations} is not a multiple of fid.every {self.fid.every}"
            )
        if self.train.iterations % self.fid.every:
            raise ValueError(
                f"train.iterations {self.train.iterations} is not a multiple of fid.every {self.fid.every}"
            )
        if self.train.iterations // self.fid.every > MOST_MEASUREMENTS:
            raise ValueError(
                f"fid.every {self.fid.every} measures {self.train.iterations // self.fid.every} times in "
                f"train.iterations {self.train.iterations}; raise it: {MOST_MEASUREMENTS} are the most"
            )
        for step in self.choose.candidates or ():
            if step > self.train.iterations or step % self.fid.every:
                raise ValueError(
                    f"choose.candidates: {step} is not measured; give multiples of fid.every {self.fid.every} "
                    f"up to train.iterations {self.train.iterations}"
                )
        return self

    @model_validator(mode="after")
    def _drawing_fits(self) -> Self:
        leaps = self.sample.solver.algorithm == "consistency"
        if self.fid.solver.algorithm == "consistency":
            raise ValueError("fid.solver: 'consistency' is for tuned weights, fid measures those before; take another")
        if leaps and self.tune is None:
            raise ValueError("sample.solver.algorithm 'consistency' needs tuned weights; give the block tune")
        if leaps and self.choose.by == "pilot":
            raise ValueError(
                "choose.by 'pilot' draws as sample does, but sample.solver.algorithm 'consistency' needs weights that "
                "are tuned after the choice; choose by fid"
            )
        if self.sample.guidance is None:
            return self
        if leaps:
            raise ValueError("sample.guidance and sample.solver.algorithm 'consistency' exclude each other; drop one")
        self._guidance_fits("sample.guidance", self.sample.guidance)
        return self

    @model_validator(mode="after")
    def _draws_fit(self) -> Self:
        for number, draw in enumerate(self.choose.draws or ()):
            if draw.guidance is not None:
                self._guidance_fits(f"choose.draws.{number}.guidance", draw.guidance)
        if self.choose.by == "pilot" and not self.pilots():
            raise ValueError(
                "choose: no candidate comes after the iteration that guides it (from_step); give later ones"
            )
        return self

    def _guidance_fits(self, key: str, guidance: Guidance) -> None:
        if guidance.from_step is None and not self.train.label_dropout:
            raise ValueError(
                f"{key} without from_step needs a network that knows images without a label; raise "
                "train.label_dropout above 0, such as 0.1"
            )
        if guidance.from_step is not None and guidance.from_step not in self.fid_steps():
            raise ValueError(
                f"{key}.from_step: {guidance.from_step} is not measured; give a multiple of fid.every "
                f"{self.fid.every} up to train.iterations {self.train.iterations}"
            )

    @model_validator(mode="after")
    def _study_fits(self) -> Self:
        study = self.study
        if study is None:
            return self
        if study.equal_steps and study.epochs_in_steps(self.evaluate.protocol) is None:
            raise ValueError(
                "study.equal_steps: evaluate.protocol counts steps, which are equal already; leave it false, "
                "or give study.epochs"
            )
        for select in (self.select, *(draw.select for draw in self.choose.draws or ())):
            if study.budget_fractions and select is not None and select.method != "all":
                raise ValueError(
                    f"study.budget_fractions: select.method '{select.method}' does not keep the images as they "
                    "came; leave the list empty, or select all"
                )
        if study.rounds and len(self.evaluate.seeds) < 2:
            raise ValueError("study.rounds needs two evaluate.seeds at least, to tell the sets from the trainings")
        return self

    def study_runs(self) -> dict[str, Run]:
        """What the study trains, by name. Raises UserError if there is no study."""
        if self.study is None:
            raise UserError("study is null; give it what to train, such as {images_per_class: [10, 50, 100]}")
        return self.study.runs(self.evaluate.protocol, self.drawn_sets)

    def study_run(self, name: str) -> Run:
        """Raises UserError with the known names."""
        if name not in self.study_runs():
            raise UserError(f"the study plans no '{name}'; planned: {', '.join(self.study_runs()) or 'nothing'}")
        return self.study_runs()[name]

    @property
    def drawn_sets(self) -> tuple[str, ...]:
        """What else of the drawn images is trained on, for the distilled set to be compared with."""
        blocks = (self.select,) if self.choose.draws is None else (draw.select for draw in self.choose.draws)
        methods = {block.method for block in blocks if block is not None} - {"all"}
        return DRAWN_SETS if methods - {"random"} else DRAWN_SETS[1:] if methods else ()

    @property
    def classifier(self) -> Protocol:
        """How the classifier is trained whose features measure the distance and whose judgement selects."""
        return self.fid.classifier or self.evaluate.protocol

    @property
    def fid_devices(self) -> int:
        """Processes that share the images of a measurement."""
        return self.fid.devices or self.train.devices

    @property
    def pilot_protocol(self) -> Protocol:
        """How the pilot's ConvNets are trained."""
        full = self.evaluate.protocol
        half = {name: max(1, length // 2) for name in ("steps", "epochs") if (length := getattr(full, name))}
        return self.choose.protocol or full.model_copy(update=half)

    def slice_ends(self) -> list[int]:
        """The iterations at which a training job ends, the last one included."""
        ends = list(range(self.train.slice_iterations, self.train.iterations, self.train.slice_iterations))
        return [*ends, self.train.iterations]

    def fid_steps(self) -> list[int]:
        """The iterations whose averaged weights are kept and measured."""
        return list(range(self.fid.every, self.train.iterations + 1, self.fid.every))

    def averages(self, steps: Sequence[int] | None = None) -> list[str]:
        """Names of the averaged weights of some iterations, or of all measured ones, as training keeps them.

        Of iteration 100 they are 100, and 100-ema1 by the first further length.
        """
        emas = range(len(self.train.ema_decays))
        return [checkpoint_name(step, ema) for step in (self.fid_steps() if steps is None else steps) for ema in emas]

    def average(self, name: str) -> dict[str, Any]:
        """One of these by name: its iteration and the decay of its average. Raises UserError with the known names."""
        if name not in self.averages():
            raise UserError(f"no weights '{name}' are kept; kept: {', '.join(self.averages())}")
        step, ema = split_checkpoint_name(name)
        return {"name": name, "step": step, "ema_decay": self.train.ema_decays[ema]}

    def pilots(self) -> list[tuple[str, int]]:
        """What a pilot tries, names of averages and numbers of draws; nothing where it does not choose."""
        steps = self.choose.candidates or self.fid_steps() if self.choose.by == "pilot" else ()
        return [
            (name, number)
            for step in steps
            for name in self.averages([step])
            for number, draw in enumerate(self.pilot_draws)
            if draw.guidance is None or (draw.guidance.from_step or 0) < step
        ]

    @property
    def pilot_draws(self) -> tuple[SamplingSetup, ...]:
        """How the pilot makes sets, complete."""
        if self.choose.draws is None:
            select = None if self.select.counts else self.select
            return (SamplingSetup(solver=self.sample.solver, guidance=self.sample.guidance, select=select),)
        return tuple(
            draw.model_copy(update={"solver": draw.solver or self.sample.solver}) for draw in self.choose.draws
        )

    def slice_of(self, step: int) -> int:
        """The end of the slice that passes iteration `step`."""
        return next(end for end in self.slice_ends() if end >= step)

    def slice_before(self, end: int) -> int | None:
        """The end of the slice before the one that ends at `end`; None for the first."""
        ends = self.slice_ends()
        if end not in ends:
            raise UserError(f"no training slice ends at iteration {end}; slices end at {ends}")
        return ends[ends.index(end) - 1] if end != ends[0] else None
