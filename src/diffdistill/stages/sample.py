"""Reads the chosen or the tuned weights; writes as many labelled images as fit into the budget, and its account.

Autoguidance reads the weights of an earlier iteration too, and where the pilot chose how to draw, its choice is read.
The clock starts before torch or the weights are loaded and stops when the last image is on disk.
"""

import json
import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from diffdistill import config
from diffdistill.runtime import files, program
from diffdistill.runtime.budget import BatchSize, Budget

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    block = config.read(config.Sample, job.config)
    budget = Budget(block.budget_seconds or float("inf"))
    with budget.phase("import"):
        from torch import Tensor
        from tqdm import tqdm

        from diffdistill.data import image_files
        from diffdistill.diffusion import sampling, weights
        from diffdistill.errors import UserError
        from diffdistill.runtime import devices

    devices.set_up(job.threads)
    device, block = devices.best_device(), _as_chosen(job, block)
    solver = block.solver.model_dump()
    with budget.phase("load"):
        network, shape, made = weights.load(job.input("weights"), device)
        if solver["algorithm"] == "consistency" and "tuned" not in made:
            raise UserError(
                f"{job.input('weights')}: weights that are not tuned, as 'consistency' needs them; give those of tune"
            )

    guidance = None if block.guidance is None else block.guidance.model_dump()
    metadata = {
        "classes": made["classes"],
        **image_files.origin_of(made),
        "made_by": f"diffdistill sample, step {made['step']}, seed {block.seed}, {json.dumps(solver, sort_keys=True)}"
        + ("" if guidance is None else f", guidance {json.dumps(guidance, sort_keys=True)}"),
    }
    with budget.phase("plan"):
        run, plan = sampling.planned(
            network, shape, precision=block.precision, compile=block.compile, batch_size=block.batch_size,
            budget_seconds=block.budget_seconds, device=device,
        )  # fmt: skip
    earlier = None
    if block.guidance is not None and block.guidance.from_step is not None:
        with budget.phase("load"):
            weaker = weights.load_guide(
                job.inputs.get("guide", []), block.guidance.from_step, (job.input("weights"), shape, made), device
            )
        earlier = sampling.prepared(weaker, plan.precision, plan.compiled)
    predict, evaluations = sampling.with_guidance(run, shape, guidance, earlier)

    def draw(first: int, count: int) -> tuple[Tensor, Tensor]:
        """A compiled network takes batches of one size: of a smaller one, the rest is drawn for nothing."""
        size = max(count, plan.batch_size or 0)
        images, labels = sampling.draw(predict, shape, solver, seed=block.seed, first=first, count=size, device=device)
        return images[:count], labels[:count]

    with budget.phase("warm up"):  # the first call pays for allocation and choice of kernels; its image is drawn again
        before = budget.used
        draw(0, 1)
        seconds_per_image = least_seconds = budget.used - before
    evaluations_per_image = evaluations()
    reserve_seconds = 0.1 + 0.002 * (block.budget_seconds or 0)  # closing the file, and leaving
    image_shape = (shape.in_chans, shape.img_size, shape.img_size)
    drawn, late, sizes = 0, 0, BatchSize(plan.batch_size or block.batch_size)

    def write(images: Tensor, labels: Tensor) -> float:
        writer.append(images, labels)
        return budget.used

    with (
        image_files.Writer(job.output("samples"), image_shape, metadata) as writer,
        ThreadPoolExecutor(1) as beside,  # a batch is written while the next one is drawn
        tqdm(total=block.images, desc="sample", unit="image", disable=None) as bar,
    ):
        written = beside.submit(lambda: budget.used)
        while drawn != block.images:
            batch_size = plan.batch_size or sizes.next()
            left = batch_size if block.images is None else min(batch_size, block.images - drawn)
            if block.budget_seconds:
                left = budget.fitting(left, seconds_per_image, least_seconds, reserve_seconds)
            if not left:
                break
            with budget.phase("draw"):
                before = budget.used
                images, labels = draw(drawn, left)
                spent = budget.used - before
            if block.budget_seconds and budget.used + reserve_seconds > block.budget_seconds:
                late = left  # the machine was held up: what came too late to be written in time is not part of the set
                break
            with budget.phase("write"):
                written.result()
            written = beside.submit(write, images, labels)
            drawn += left
            bar.update(left)
            sizes.took(left, spent)
            seconds_per_image, least_seconds = spent / left, min(spent, least_seconds)
        if not drawn:
            raise UserError(
                f"sample.budget_seconds: {block.budget_seconds} s do not suffice for a single image, "
                f"{budget.used:.1f} s went into loading and warming up; give a longer budget"
            )
        with budget.phase("write"):
            last_written = written.result()
            writer.finish()
    used = last_written if late else budget.used
    if block.budget_seconds and used > block.budget_seconds:
        job.output("samples").unlink()
        raise UserError(
            f"sample.budget_seconds: {used:.2f} s were used of {block.budget_seconds} s, by phase {budget.account()}; "
            "the set is deleted: run again when the machine is less busy, or give a longer budget"
        )
    account = {
        "images": drawn,
        "images_discarded_late": late,
        "images_per_second": round(drawn / used, 2),
        "budget_seconds": block.budget_seconds,
        "used_seconds": round(used, 3),
        "seconds": budget.account(),
        "evaluations_per_image": evaluations_per_image,
        "batch_size": batch_size,
        "plan": asdict(plan),
        "solver": solver,
        "guidance": guidance,
        "machine": devices.describe(device),
        "seed": block.seed,
        "step": int(made["step"]),
        "classes": shape.num_classes,
    }
    logger.info("%d images in %.2f s, %.1f a second", drawn, used, drawn / used)
    files.write_json(job.output("account"), account)


def _as_chosen(job: program.Job, block: config.Sample) -> config.Sample:
    """The settings, with solver and guidance as they were chosen with the weights."""
    if "chosen" not in job.inputs:
        return block
    path = job.input("chosen")
    draw = config.read(config.Draw, files.read_record(path, "draw")["draw"], str(path))
    return block.model_copy(update={"solver": draw.solver or block.solver, "guidance": draw.guidance})


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
