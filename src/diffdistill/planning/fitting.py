"""Whether the settings fit the data, as far as a dry run knows them."""

from collections.abc import Iterator

from diffdistill.config import checks
from diffdistill.config.fields import read
from diffdistill.config.load import REAL
from diffdistill.data import identity
from diffdistill.errors import UserError
from diffdistill.planning import comparison, sources
from diffdistill.planning.plan import Plan


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
        facts = checks.published(source) or _prepared(plan, dataset)
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
