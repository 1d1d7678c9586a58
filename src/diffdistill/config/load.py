"""All of config.yaml, parsed with errors for people."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from diffdistill.config.experiment import Experiment
from diffdistill.config.fields import Block, Name, read
from diffdistill.config.source import Source
from diffdistill.errors import UserError

RESERVED = {"reports", "raw", "inception", "weights", "report.html", "summary.txt", "README.md"}
"""Names that the workflow uses itself below results/ and data/: no experiment can have them."""
OLD_RESULTS = {"chosen.json": "checkpoint.json", "fid/features.safetensors": "data/{dataset}/classifier/"}
"""Files that older versions wrote, and what stands in their place now."""


class Config(Block):
    renamed: ClassVar = {"datasets": "experiments"}

    reports: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]]
    """Pages: each covers some experiments."""
    targets: tuple[Name, ...]
    """The reports that `all` makes."""
    experiments: dict[Name, Experiment]

    @model_validator(mode="before")
    @classmethod
    def _drop_null(cls, values: Any) -> Any:
        """null removes an experiment, also from the reports, or a report, also from the targets."""
        if not isinstance(values, Mapping):
            return values
        kept = dict(values)
        experiments, reports = kept.get("experiments"), kept.get("reports")
        if not isinstance(experiments, Mapping) or not isinstance(reports, Mapping):
            return kept
        removed = [name for name, block in experiments.items() if block is None]
        kept["experiments"] = {name: block for name, block in experiments.items() if block is not None}
        kept["reports"] = {name: _without(covered, removed) for name, covered in reports.items()}
        gone = [name for name, covered in kept["reports"].items() if covered is None]
        kept["reports"] = {name: covered for name, covered in kept["reports"].items() if covered is not None}
        kept["targets"] = _without(kept.get("targets"), gone) or []
        return kept

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not self.targets:
            raise ValueError(
                "targets: no report is left to make; name one of those under reports that covers one of the experiments, "
                f"known: {', '.join(self.reports) or 'none'}"
            )
        given = {*self.experiments, *self.reports, *(one.dataset for one in self.experiments.values() if one.dataset)}
        for name in sorted(RESERVED & given):
            raise ValueError(f"'{name}' is a name that the workflow uses itself; choose another")
        for name in self.targets:
            if name not in self.reports:
                hint = f"; write {{{name}: [{name}]}} under reports" if name in self.experiments else ""
                raise ValueError(f"targets: no report '{name}' under reports{hint}; known: {', '.join(self.reports)}")
        sources: dict[str, tuple[str, Source]] = {}
        for name, experiment in self.experiments.items():
            data = experiment.dataset or name
            other, source = sources.setdefault(data, (name, experiment.source))
            if source != experiment.source:
                raise ValueError(
                    f"experiments.{name}.source differs from experiments.{other}.source, but both make data/{data}"
                )
        return self

    def experiment(self, name: str) -> Experiment:
        """Raises UserError with the known names."""
        if name in self.experiments:
            return self.experiments[name]
        near = difflib.get_close_matches(name, self.experiments, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"no experiment '{name}' under experiments; {hint}known: {', '.join(self.experiments)}")

    def report(self, name: str) -> tuple[str, ...]:
        """The experiments of a report. Raises UserError for an unknown report or experiment."""
        if name not in self.reports:
            raise UserError(f"no report '{name}' under reports; known: {', '.join(self.reports)}")
        for experiment in self.reports[name]:
            if experiment not in self.experiments:
                raise UserError(
                    f"reports.{name}: no experiment '{experiment}' under experiments; known: "
                    f"{', '.join(self.experiments)}"
                )
        return self.reports[name]

    def dataset(self, name: str) -> str:
        """The data set of an experiment."""
        return self.experiment(name).dataset or name


def _without(names: Any, removed: list[Any]) -> Any:
    """A list without what was removed, None if nothing else was in it; anything but a list as it is."""
    if not isinstance(names, list | tuple) or not any(name in removed for name in names):
        return names
    return [name for name in names if name not in removed] or None


def parse(values: Mapping[str, Any], where: str = "config.yaml") -> Config:
    """The typed config. Raises UserError, one line per mistake: file, key, value and what is wrong."""
    return read(Config, values, where)


def refuse_old_results(config: Config, folder: Path) -> None:
    """Raises UserError if `folder` holds results that an older version wrote."""
    for name in config.experiments:
        for old, new in OLD_RESULTS.items():
            if (folder / name / old).exists():
                raise UserError(
                    f"{folder / name} was written by an older version ({old} is now {new}); move the folder away or "
                    "delete it"
                )
