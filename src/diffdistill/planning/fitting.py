"""Whether the settings fit the data and the machine, as far as a dry run knows them."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from diffdistill.config import checks
from diffdistill.config.fields import read
from diffdistill.config.load import REAL
from diffdistill.data import identity
from diffdistill.errors import UserError
from diffdistill.planning import comparison, sources
from diffdistill.planning.plan import Plan

SHORT_BUDGET = 15.0
"""Seconds below which a budget is compared with what a program's start takes; a longer one is not worth the seconds."""


def limits(plan: Plan, dataset: str) -> tuple[checks.Limit, ...]:
    """What the experiments on a data set, and the comparisons with its real images, ask of it."""
    config = plan.config
    of_experiments = {name: one for name, one in config.experiments.items() if config.dataset(name) == dataset}
    return (*checks.limits_of(of_experiments), *_of_comparisons(plan, dataset))


def _of_comparisons(plan: Plan, dataset: str) -> Iterator[checks.Limit]:
    for name, members in plan.config.comparisons.items():
        if plan.config.dataset(comparison.base(plan, name)) == dataset:
            for real in filter(None, map(REAL.fullmatch, members)):
                if real[1] is not None:
                    key, value = f"comparisons.{name}.real_N_per_class", int(real[1])
                    yield checks.Limit(key=key, value=value, rule="a class has so many")


def refuse_what_the_data_do_not_have(plan: Plan) -> None:
    """Raises UserError, a line each, for settings that do not fit bundled, published or prepared data."""
    found: list[str] = []
    for dataset in dict.fromkeys(plan.config.dataset(name) for name in plan.config.experiments):
        source = plan.source(dataset)
        facts = _prepared(plan, dataset) or checks.published(source)
        cut = checks.cut_problem(source, facts)
        found += [f"source of data/{dataset}: {cut}"] if cut else checks.problems(limits(plan, dataset), facts)
    if found:
        raise UserError("\n".join(f"config.yaml: {line}" for line in found))


def _prepared(plan: Plan, dataset: str) -> checks.Facts | None:
    """What `prepare` has found, if that is still what the config asks for."""
    record = identity.read(f"data/{dataset}/source.json")
    if record is None or not record.facts or not sources.state(plan, dataset).unchanged:
        return None
    return read(checks.Facts, record.facts, f"data/{dataset}/source.json")


def _seconds_to_start() -> float:
    """What a sampling job spends before its first line, as near as a dry run can tell; 0 without torch in here."""
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, "-P", "-c", "import torch"], capture_output=True, check=False)
    return time.perf_counter() - started if ended.returncode == 0 else 0.0


def refuse_budgets_that_a_start_uses_up(plan: Plan, seconds_to_start: Callable[[], float] = _seconds_to_start) -> None:
    """Raises UserError for a budget in which this machine cannot sample an image; measures only for short budgets."""
    samples = {name: one.sample for name, one in plan.config.experiments.items()}
    budgets = {name: sample.budget_seconds for name, sample in samples.items() if sample and sample.budget_seconds}
    short = {name: budget for name, budget in budgets.items() if budget < SHORT_BUDGET}
    start = seconds_to_start() if short else 0.0
    for name, budget in short.items():
        if budget <= start:
            raise UserError(
                f"config.yaml: experiments.{name}.sample.budget_seconds {budget:g}: on this machine a program takes "
                f"{start:.1f} s to start; give at least {math.ceil(2 * start)}"
            )
