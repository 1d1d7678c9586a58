"""What a report covers: the files of its experiments, and the settings that its stages read from one file."""

from diffdistill.config import Experiment, stages
from diffdistill.planning.plan import Plan

LEADERBOARD = "resources/leaderboard.csv"
"""The challenge's published table, in the folder of the workflow."""


def files_of(plan: Plan, name: str) -> stages.ExperimentFiles:
    """The files that an experiment has."""
    one, folder = plan.config.experiment(name), f"results/{name}"
    return stages.ExperimentFiles(
        real=plan.split(name, "train"),
        accuracy=f"{folder}/accuracy.csv",
        baselines=f"{folder}/baselines.csv",
        fid=f"{folder}/fid.csv" if one.fid is not None else None,
        loss=f"{folder}/loss.csv" if one.trains else None,
        account=f"{folder}/samples.json" if one.samples else None,
        refined=f"{folder}/refined.json" if one.refine is not None else None,
        refined_pictures=f"{folder}/refined.png" if one.refine is not None else None,
        samples=f"{folder}/samples.safetensors" if one.samples else None,
        distilled=f"{folder}/distilled.safetensors",
        audit=f"{folder}/audit.json" if one.audit is not None else None,
        audit_pairs=f"{folder}/audit_pairs.png" if one.audit is not None else None,
        study=f"{folder}/study.csv" if one.study is not None else None,
    )


def report(plan: Plan, name: str, leaderboard: str) -> stages.Report:
    """The settings of a report's stages. Raises UserError for an unknown report or experiment."""
    return stages.Report(
        name=name,
        experiments={experiment: reported(plan, experiment) for experiment in plan.config.report(name)},
        leaderboard=leaderboard,
    )


def reported(plan: Plan, name: str) -> stages.ReportedExperiment:
    """An experiment as a report shows it. Raises UserError for an unknown one."""
    one: Experiment = plan.config.experiment(name)
    return stages.ReportedExperiment(
        dataset=plan.config.dataset(name), settings=one.model_dump(mode="json"), files=files_of(plan, name)
    )


def inputs(plan: Plan, name: str) -> list[str]:
    """All files that a report is made of."""
    found: list[str] = []
    for experiment in plan.config.report(name):
        found += [path for path in files_of(plan, experiment).model_dump().values() if path is not None]
    return list(dict.fromkeys(found))
