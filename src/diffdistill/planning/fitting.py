"""Whether the settings fit the data, as far as a dry run knows them."""

from diffdistill.config import checks
from diffdistill.config.fields import read
from diffdistill.data import identity
from diffdistill.errors import UserError
from diffdistill.planning import sources
from diffdistill.planning.plan import Plan


def limits(plan: Plan, dataset: str) -> tuple[checks.Limit, ...]:
    """What the experiments on a data set ask of it."""
    config = plan.config
    return checks.limits_of({name: one for name, one in config.experiments.items() if config.dataset(name) == dataset})


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
