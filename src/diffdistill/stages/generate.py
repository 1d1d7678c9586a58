"""Reads the real train split and a generator that was not trained here; writes the samples and their account.

The code of a user's generator runs in this stage alone. The clock starts before torch or the generator are loaded and
stops when the last image is on disk.
"""

import json

from diffdistill.config import stages
from diffdistill.config.generator import PipelineGenerator, PythonGenerator
from diffdistill.errors import about
from diffdistill.runtime.budget import Budget
from diffdistill.runtime.program import Job


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
        device = devices.best_device()  # before the user's code, which may name no GPU
        real, of_real = sets.real_set(job.input("train"))
        block = job.settings.generator.changed(path=str(path))
        generator: Generator
        fixed: int | None = None
        if isinstance(block, PythonGenerator):
            made_by = f"{block.name} in {path.name}, seed {settings.seed}"
            generator = python.load(block, image_files.load(job.input("train")), seed=settings.seed)
        elif isinstance(block, PipelineGenerator):
            made_by = f"the pipeline in {path.name}, {block.steps} steps, seed {settings.seed}"
            generator = pipeline.load(block, real, seed=settings.seed, device=device)
        else:
            made_by = f"the weights in {path.name}, seed {settings.seed}"
            generator, fixed = weights.load(block, real, settings, device=device)
        metadata = {**sets.metadata_of(of_real), "made_by": made_by}
        labels = None
        if settings.counts == "real":
            labels = image_files.load_labels_and_metadata(job.input("train"))[0]
        with about("sample.counts"):
            counts = budgeted.class_counts(settings.counts, json.loads(metadata["classes"]), labels)
    with about("sample.budget_seconds", budgeted.BudgetError):
        budgeted.sample_to_files(
            generator, output, job.output("account"), metadata, settings, counts, budget=budget,
            device=device, attempts=attempt, fixed_batch_size=fixed,
        )  # fmt: skip
