"""Reads the checkpoint or the tuned weights; writes as many labelled images as fit into the budget, and the account.

Autoguidance also reads the weights of an earlier iteration, mode guidance the classifier and the train split, and if
the pilot picked a sampling setup, its choice is read. The clock starts before torch or the weights are loaded and stops
when the last image is on disk.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from diffdistill import config
from diffdistill.config import stages
from diffdistill.config.sampling import picked_setup
from diffdistill.errors import about
from diffdistill.runtime import files
from diffdistill.runtime.budget import Budget
from diffdistill.runtime.program import Job

if TYPE_CHECKING:
    from diffdistill.generators import Generator


def main(job: Job[stages.Sample]) -> None:
    settings = _settings(job)
    budget = Budget(settings.budget_seconds or float("inf"))
    with budget.phase("import"):
        from diffdistill.data import image_files
        from diffdistill.diffusion import checkpoints
        from diffdistill.diffusion.training.origin import SETTINGS
        from diffdistill.generators import budgeted, diffusion
        from diffdistill.runtime import devices, resuming

    devices.set_up(job.threads)
    device, output = devices.best_device(), job.output("samples")
    attempt = resuming.attempt(output)
    with budget.phase("load"):
        checkpoint = checkpoints.load(job.input("weights"), device)
        diffusion.require_tuned(checkpoint, settings.solver)
    with budget.phase("plan"):
        plan = diffusion.plan(checkpoint, settings, device)
    with budget.phase("load"):
        generator: Generator = diffusion.DiffusionGenerator.of_checkpoint(
            checkpoint, settings.solver, seed=settings.seed, device=device, guidance=settings.guidance,
            guides=job.inputs.get("guide", []), plan=plan,
        )  # fmt: skip
    with budget.phase("load"):
        counts = _counts(job, settings, checkpoint.metadata)
    if settings.modes is not None:
        from diffdistill.classify import evaluation
        from diffdistill.generators import modes

        with budget.phase("modes"):
            train = image_files.load(job.input("train"))
            image_files.require_same_origin(checkpoint.path, checkpoint.metadata, job.input("train"), train.metadata)
            classifier = evaluation.classifier_for(job.input("classifier"), job.input("train"), train, device)
            generator = modes.generator(checkpoint, settings, classifier, train, device, plan)
    metadata = {
        **{key: checkpoint.metadata[key] for key in ("classes", "class_titles") if key in checkpoint.metadata},
        **image_files.origin_of(checkpoint.metadata),
        "made_by": _made_by(settings, checkpoint.step),
        "trained_by": checkpoint.metadata.get(SETTINGS, "{}"),
    }
    with about("sample.budget_seconds", budgeted.BudgetError):
        budgeted.sample_to_files(
            generator, output, job.output("account"), metadata, settings, counts, budget=budget, device=device,
            attempts=attempt, fixed_batch_size=plan.batch_size, about={"plan": plan.describe()},
        )  # fmt: skip


def _settings(job: Job[stages.Sample]) -> config.Sample:
    """The settings, with the solver and guidance that the pilot picked."""
    settings = job.settings.sample
    if "checkpoint" not in job.inputs:
        return settings
    path = job.input("checkpoint")
    setup = picked_setup(files.read_record(path, "setup"), str(path))
    return settings.model_copy(update={"solver": setup.solver or settings.solver, "guidance": setup.guidance})


def _counts(job: Job[stages.Sample], settings: config.Sample, metadata: Mapping[str, str]) -> list[int]:
    """Images per class that the settings ask for. Raises UserError for a class that there is not."""
    from diffdistill.data import image_files
    from diffdistill.generators import budgeted

    labels = None
    if settings.counts == "real":
        labels, of_train = image_files.load_labels_and_metadata(job.input("train"))
        image_files.require_same_origin(job.input("weights"), metadata, job.input("train"), of_train)
    with about("sample.counts"):
        return budgeted.class_counts(settings.counts, json.loads(metadata["classes"]), labels)


def _made_by(settings: config.Sample, step: int) -> str:
    made_by = f"diffdistill sample, step {step}, seed {settings.seed}, {config.as_json(settings.solver)}"
    ways = {"guidance": settings.guidance, "modes": settings.modes}
    return ", ".join([made_by, *(f"{name} {config.as_json(way)}" for name, way in ways.items() if way is not None)])
