"""Reads a training set, the test split, a seed and what to vary; writes the accuracy of the network trained so.

Beside them it reads the distilled set where its number of images counts, the classifier that gives soft labels, and the
training on all real images, which is not repeated where the distilled set is as large.
"""

import dataclasses
import logging
import sys
import time
from collections.abc import Sequence

from torch import Tensor

from diffdistill import config
from diffdistill.classify import evaluation, training
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files, program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    device, started = devices.best_device(), time.perf_counter()
    run, seed = config.read(config.Run, job.config["run"]), job.config["seed"]
    block = config.read(config.Protocol, job.config["protocol"])
    train_file, test_file = job.input("train"), job.input("test")
    train, test = evaluation.load(train_file, test_file)
    distilled = _distilled_images(job, run, train)
    varied = {"dataset": job.config["dataset"], **run.model_dump(mode="json"), "run": run.name}
    if run.on_all and distilled >= len(train.labels):
        logger.info("the distilled set has %d images, the real one %d", distilled, len(train.labels))
        on_all = files.read_record(job.input("whole"), "accuracy", "trained_on")
        files.write_json(job.output("accuracy"), on_all | varied)
        return
    kept = _kept(job, run, train, distilled, seed)
    images, labels = train.images[kept], train.labels[kept]
    if run.labels == "soft":
        judge = evaluation.judge_of(job.input("classifier"), train_file, train, device)
        labels = training.logits(judge, images).softmax(1)
    row = varied | evaluation.tested(
        images, labels, test, protocol=_protocol(block, run, distilled), seed=seed, device=device,
        progress=f"{run.name}, seed {seed}", student=run.student,
    )  # fmt: skip
    row["seconds"] = round(time.perf_counter() - started, 3)
    logger.info("%s, seed %d: accuracy %.4f on %d test images", run.name, seed, row["accuracy"], len(test.labels))
    files.write_json(job.output("accuracy"), row | evaluation.files_used(train_file, test_file))


def _distilled_images(job: program.Job, run: config.Run, train: ImageSet) -> int:
    """How many images the distilled set has; of no matter, 0, where they are not asked for."""
    if run.train_set == "distilled":
        return len(train.labels)
    if "distilled" not in job.inputs:
        return 0
    return len(image_files.load_labels_and_metadata(job.input("distilled"))[0])


def _protocol(block: config.Protocol, run: config.Run, distilled: int) -> training.Protocol:
    protocol = training.Protocol(**block.model_dump())
    if run.epochs is not None:
        protocol = dataclasses.replace(protocol, epochs=run.epochs, steps=None)
    if run.equal_steps:
        protocol = dataclasses.replace(protocol, epochs=None, steps=training.total_steps(protocol, distilled))
    return protocol if run.augment else dataclasses.replace(protocol, augment="")


def _kept(job: program.Job, run: config.Run, train: ImageSet, distilled: int, seed: int) -> Tensor:
    """Indices of the images trained on. Raises UserError if a class has fewer than asked for."""
    every, count = selection.every(train.labels), run.images_per_class
    if count is not None:
        fewest = int(train.labels.bincount(minlength=len(train.classes)).min())
        if count > fewest:
            raise UserError(
                f"study.images_per_class: {count}, but a class of {job.input('train')} has {fewest}; leave {count} out"
            )
        if run.train_set == "distilled":
            return selection.in_turn(train.labels)[: count * len(train.classes)]
        return selection.at_random(train.labels, count * len(train.classes), seed)
    if run.budget_fraction is not None:
        return every[: max(1, round(run.budget_fraction * len(every)))]
    if run.train_set == "real-random" and distilled < len(every):
        return selection.at_random(train.labels, distilled, seed)
    return every


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
