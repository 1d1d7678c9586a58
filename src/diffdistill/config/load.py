"""All of config.yaml, parsed with errors for people."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from diffdistill.config.experiment import Experiment
from diffdistill.config.fields import Block, FilePath, Name, read
from diffdistill.config.source import Source
from diffdistill.errors import UserError

RESERVED = {"reports", "comparisons", "raw", "inception", "weights", "report.html", "summary.txt", "README.md"}
"""Names that the workflow uses itself below results/ and data/: no experiment can have them."""
REAL = re.compile(r"real(?:_([1-9]\d*)_per_class)?")
"""Members of a comparison that are real images: all of the train split, or random ones of each class."""
OLD_RESULTS = {"chosen.json": "checkpoint.json", "fid/features.safetensors": "data/{dataset}/classifier/"}
"""Files that older versions wrote, and what stands in their place now."""


class Config(Block):
    renamed: ClassVar = {"datasets": "experiments"}

    reports: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]]
    """Pages: each covers some experiments."""
    targets: tuple[Name, ...]
    """The reports that `all` makes, beside the comparisons."""
    comparisons: dict[Name, Annotated[tuple[Name, ...], Field(min_length=2)]] = Field(default_factory=dict)
    """Pages that judge several sets alike: experiments, `real`, and `real_50_per_class` with any number."""
    container: FilePath | None = None
    """Image that jobs run in with `--sdm apptainer`: a .sif file, or an address such as docker://…; null: none."""
    experiments: dict[Name, Experiment]
    """Experiments by name, which is their folder below results/; null removes one, also from the reports."""

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
        if isinstance(kept.get("comparisons"), Mapping):
            compared = {name: _without(members, removed) for name, members in kept["comparisons"].items()}
            kept["comparisons"] = {name: members for name, members in compared.items() if members is not None}
        return kept

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not self.targets:
            raise ValueError(
                "targets: no report is left to make; name one under reports that covers one of the experiments, "
                f"known: {', '.join(self.reports) or 'none'}"
            )
        self._comparisons_fit()
        given = {
            *self.experiments,
            *self.reports,
            *self.comparisons,
            *(one.dataset for one in self.experiments.values() if one.dataset),
        }
        for name in sorted(RESERVED & given):
            raise ValueError(f"'{name}' is a name that the workflow uses itself; choose another")
        for name in self.targets:
            if name not in self.reports:
                hint = f"; write {{{name}: [{name}]}} under reports" if name in self.experiments else ""
                raise ValueError(f"targets: no report '{name}' under reports{hint}; known: {', '.join(self.reports)}")
        for name, covered in self.reports.items():
            if missing := [one for one in covered if one not in self.experiments]:
                known = ", ".join(self.experiments)
                raise ValueError(f"reports.{name}: no experiment '{missing[0]}' under experiments; known: {known}")
        sources: dict[str, tuple[str, Source]] = {}
        for name, experiment in self.experiments.items():
            data = experiment.dataset or name
            other, source = sources.setdefault(data, (name, experiment.source))
            if source != experiment.source:
                raise ValueError(
                    f"experiments.{name}.source differs from experiments.{other}.source, but both make data/{data}"
                )
        return self

    def _comparisons_fit(self) -> None:
        for name, members in self.comparisons.items():
            if twice := [member for member in members if members.count(member) > 1]:
                raise ValueError(f"comparisons.{name}: '{twice[0]}' stands twice; name it once")
            for member in members:
                known = f"known: {', '.join(self.experiments)}, real, real_50_per_class (or another number)"
                if member in self.experiments and REAL.fullmatch(member):
                    raise ValueError(f"comparisons.{name}: '{member}' is an experiment and real images; rename the one")
                if member not in self.experiments and not REAL.fullmatch(member):
                    raise ValueError(f"comparisons.{name}: no experiment '{member}' under experiments; {known}")
            if not any(member in self.experiments for member in members):
                raise ValueError(f"comparisons.{name}: only real images; add an experiment, whose data set they are of")

    def comparison(self, name: str) -> tuple[str, ...]:
        """The members of a comparison. Raises UserError for an unknown one."""
        if name not in self.comparisons:
            raise UserError(f"no comparison '{name}' under comparisons; known: {', '.join(self.comparisons) or 'none'}")
        return self.comparisons[name]

    def experiment(self, name: str) -> Experiment:
        """Raises UserError with the known names."""
        if name in self.experiments:
            return self.experiments[name]
        near = difflib.get_close_matches(name, self.experiments, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"no experiment '{name}' under experiments; {hint}known: {', '.join(self.experiments)}")

    def report(self, name: str) -> tuple[str, ...]:
        """The experiments of a report. Raises UserError for an unknown one."""
        if name not in self.reports:
            raise UserError(f"no report '{name}' under reports; known: {', '.join(self.reports)}")
        return self.reports[name]

    def dataset(self, name: str) -> str:
        """The data set of an experiment."""
        return self.experiment(name).dataset or name


NULLS = ("null", "Null", "NULL", "~", "")
"""How YAML writes that there is no value."""


def with_nulls(values: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The config with null where the overlay of the command line says so: Snakemake reads it as text."""
    found = dict(values)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            found[key] = with_nulls(found[key], value)
        elif value in NULLS and found.get(key) == value:
            found[key] = None
    return found


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
