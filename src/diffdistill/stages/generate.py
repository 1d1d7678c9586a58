"""Reads the real train split and a generator that was not trained here; writes the samples and their account.

The code of a user's generator runs in this stage alone. The clock starts before torch or the generator are loaded and
stops when the last image is on disk.
"""

import json
import logging

from diffdistill.config import stages
from diffdistill.config.generator import PipelineGenerator, PythonGenerator
from diffdistill.errors import UserError
from diffdistill.runtime import files
from diffdistill.runtime.budget import Budget
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Generate]) -> None:
    settings = job.settings.sample
    budget = Budget(settings.budget_seconds or float("inf"))
    with budget.phase("import"):
        from diffdistill.data import image_files, sets
        from diffdistill.generators import Generator, budgeted, pipeline, python, weights
        from diffdistill.runtime import devices, resuming

    devices.set_up(job.threads)
    path, output = job.input("generator"), job.output("samples")
    attempt = resuming.attempt(output)
    with budget.phase("load"):
        real, of_real = sets.real_set(job.input("train"))
        block = job.settings.generator.changed(path=str(path))
        generator: Generator
        fixed: int | None = None
        if isinstance(block, PythonGenerator):
            made_by = f"{block.name} in {path.name}, seed {settings.seed}"
            generator = python.load(block, image_files.load(job.input("train")), seed=settings.seed)
        elif isinstance(block, PipelineGenerator):
            made_by = f"the pipeline in {path.name}, {block.steps} steps, seed {settings.seed}"
            generator = pipeline.load(block, real, seed=settings.seed, device=devices.best_device())
        else:
            made_by = f"the weights in {path.name}, seed {settings.seed}"
            generator, fixed = weights.load(block, real, settings, device=devices.best_device())
        metadata = {**sets.metadata_of(of_real), "made_by": made_by}
        labels = None
        if settings.counts == "real":
            labels = image_files.load_labels_and_metadata(job.input("train"))[0]
        try:
            counts = budgeted.class_counts(settings.counts, json.loads(metadata["classes"]), labels)
        except UserError as error:
            raise UserError(f"sample.counts: {error}") from error
    try:
        account = budgeted.sample_within(
            generator, output, metadata, budget=budget, images=settings.images,
            batch_size=fixed or settings.batch_size, fixed=fixed is not None, counts=counts,
        )  # fmt: skip
    except budgeted.BudgetError as error:
        raise UserError(f"sample.budget_seconds: {error}") from error
    logger.info("%d images in %.2f s, %.1f per second", account.images, account.used_seconds, account.images_per_second)
    record = {
        **account.describe(),
        "attempts": attempt,
        "generator": generator.describe(),
        "machine": devices.describe(devices.best_device()),
        "seed": settings.seed,
        "classes": generator.num_classes,
    }
    files.write_json(job.output("account"), record)
    resuming.attempts_over(output)
