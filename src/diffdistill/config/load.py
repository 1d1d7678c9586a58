"""All of config.yaml: parsed with errors for people, handed to stages as JSON."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from diffdistill.config.experiment import Experiment
from diffdistill.config.fields import Block, Name, short
from diffdistill.config.source import Source
from diffdistill.errors import UserError

FOLDERS = {"tables", "figures", "raw", "inception", "weights"}
"""Folders of the workflow's own below results/ and data/: no experiment can have their names."""
FILES = {"report.html", "summary.txt", "README.md"}
"""Files of the workflow's own in results/."""


class Config(Block):
    targets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The experiments that `all` covers."""
    datasets: dict[Name, Experiment | None]

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        given = {*self.datasets, *(one.dataset for one in self.experiments.values() if one.dataset)}
        for name in sorted((FOLDERS | FILES) & given):
            raise ValueError(f"datasets: '{name}' is a name of the workflow's own; give another name")
        for name in self.targets:
            if self.datasets.get(name) is None:
                raise ValueError(
                    f"targets: no experiment '{name}' under datasets; known: {', '.join(self.experiments)}"
                )
        sources: dict[str, tuple[str, Source]] = {}
        for name, experiment in self.experiments.items():
            data = experiment.dataset or name
            other, source = sources.setdefault(data, (name, experiment.source))
            if source != experiment.source:
                raise ValueError(f"datasets.{name}.source differs from datasets.{other}.source, both make data/{data}")
        return self

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that are not removed by null."""
        return {name: experiment for name, experiment in self.datasets.items() if experiment is not None}

    def experiment(self, name: str) -> Experiment:
        """Raises UserError with the known names."""
        if name in self.experiments:
            return self.experiments[name]
        near = difflib.get_close_matches(name, self.experiments, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"no experiment '{name}' under datasets; {hint}known: {', '.join(self.experiments)}")


B = TypeVar("B", bound=Block)


def parse(values: Mapping[str, Any], where: str = "config.yaml") -> Config:
    """The typed config. Raises UserError, one line a mistake: file, key, value and what is wrong."""
    return read(Config, values, where)


def read(block: type[B], values: Mapping[str, Any], where: str = "--config") -> B:
    """One block from plain values. Raises UserError naming key and value."""
    try:
        return block.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(_line(where, problem) for problem in error.errors())) from None


def _line(where: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: {key} is missing; add it"
    value = problem["input"]
    shown = f" (found {short(value)})"
    if isinstance(value, Mapping | Block) or problem["type"] == "value_error":
        shown = ""
    return f"{where}: {key + ': ' if key else ''}{message}{shown}"


def as_json(*blocks: Block, **named: Block | tuple[Block | str | int, ...] | int | float | str | None) -> str:
    """Blocks as the JSON that a stage is given: one block as it is, named ones under their names; keys sorted."""
    values: dict[str, Any] = {}
    for block in blocks:
        values |= block.model_dump(mode="json")
    return json.dumps(values | named, sort_keys=True, default=lambda block: block.model_dump(mode="json"))


def summary(config: Config, targets: Sequence[str]) -> str:
    """What the tables and the report say of each target, as JSON: its data set, model, training and all settings."""
    described = {}
    for name in targets:
        experiment = config.experiment(name)
        described[name] = {
            "dataset": experiment.dataset or name,
            "model": experiment.model.model_dump(mode="json"),
            "training_iterations": experiment.train.iterations,
            "settings": experiment.model_dump(mode="json"),
        }
    return json.dumps({"experiments": described}, sort_keys=True)
