"""What a comparison covers: the files of its sets, and the settings that its stage reads from one file."""

from diffdistill.config import as_json, stages
from diffdistill.config.load import REAL
from diffdistill.errors import UserError
from diffdistill.planning import report
from diffdistill.planning.plan import Files, Plan, Wildcards


def base(plan: Plan, name: str) -> str:
    """The experiment whose real images, protocol and seeds the members of real images take: the first."""
    return next(member for member in plan.config.comparison(name) if member in plan.config.experiments)


def comparison(plan: Plan, name: str) -> stages.Comparison:
    """The settings of a comparison's stage.

    Raises UserError for an unknown comparison, and if no two of its sets have their data and protocol in common.
    """
    members, experiments, first = plan.config.comparison(name), plan.config.experiments, base(plan, name)
    ways = [experiments[first if REAL.fullmatch(member) else member] for member in members]
    if len({as_json(one.source) + as_json(one.evaluate.protocol) for one in ways}) == len(members):
        raise UserError(
            f"comparisons.{name}: no two of {', '.join(members)} have source and evaluate.protocol in common, so none "
            "compare; give them the same, or add real"
        )
    return stages.Comparison(name=name, sets={member: _compared(plan, member, first) for member in members})


def _compared(plan: Plan, member: str, first: str) -> stages.ComparedSet:
    """first: the base of the comparison."""
    if real := REAL.fullmatch(member):
        per_class = None if real[1] is None else int(real[1])
        seeds = plan.config.experiment(first).evaluate.seeds
        real_runs = tuple(plan.real_run(first, seed) for seed in seeds)
        some = () if per_class is None else tuple(plan.real_subset_run(first, per_class, seed) for seed in seeds)
        return stages.ComparedSet(
            runs=some or real_runs, real_runs=real_runs, real=plan.split(first, "train"), per_class=per_class
        )
    seeds = plan.config.experiment(member).evaluate.seeds
    return stages.ComparedSet(
        runs=tuple(f"results/{member}/accuracy/{seed}.json" for seed in seeds),
        real_runs=tuple(plan.real_run(member, seed) for seed in seeds),
        real=plan.split(member, "train"),
        experiment=_reported(plan, member),
        measured=f"results/{member}/measured.json",
    )


def _reported(plan: Plan, name: str) -> stages.ReportedExperiment:
    """With the files that a comparison reads: further trainings and samples would be made for nothing."""
    reported = report.reported(plan, name)
    unread = dict.fromkeys(("accuracy", "baselines", "fid", "samples", "audit_pairs", "study"))
    return reported.model_copy(update={"files": reported.files.model_copy(update=unread)})


def inputs(plan: Plan, name: str) -> list[str]:
    """All files that a comparison is made of."""
    found: list[str] = []
    for one in comparison(plan, name).sets.values():
        found += [*one.runs, *one.real_runs, one.real]
        found += [one.measured] if one.measured is not None else []
        if one.experiment is not None:
            found += [path for path in one.experiment.files.model_dump().values() if path is not None]
    return list(dict.fromkeys(found))


def measure(plan: Plan, wildcards: Wildcards) -> Files:
    """The files that a distilled set is measured with, by name."""
    name, features = wildcards.experiment, plan.measured_features(wildcards.experiment)
    files: Files = {"features": features.network, "classifier": plan.classifier(name)}
    return files | {
        "distilled": f"results/{name}/distilled.safetensors",
        "reference": plan.measured_reference(name),
    }
