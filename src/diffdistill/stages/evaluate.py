"""Reads a training set, the test split and one seed; writes the accuracy of a ConvNet trained on that set alone.

The rule `evaluate` gives the distilled set; the rule `baseline` gives the real train split, or the images it was
selected from, whole or at random as many as the distilled set has. One stage serves both, so both follow one protocol.
"""

import logging
import sys
import time
from collections.abc import Sequence

from diffdistill import config
from diffdistill.classify import evaluation, training
from diffdistill.data import image_files, selection
from diffdistill.runtime import devices, files, program, provenance

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    device, started = devices.best_device(), time.perf_counter()
    block = config.read(config.Protocol, job.config["protocol"])
    protocol = training.Protocol(**block.model_dump())
    seed, train_set = job.config["seed"], job.config["train_set"]
    train_file, test_file = job.input("train"), job.input("test")
    train, test = evaluation.load(train_file, test_file)
    kept = selection.every(train.labels)
    if train_set.endswith("-random"):
        as_many = len(image_files.load_labels_and_metadata(job.input("distilled"))[0])
        if as_many >= len(kept):
            logger.info("the distilled set has %d images, all are %d: this is the training on all", as_many, len(kept))
            on_all = files.read_record(job.input("whole"), "accuracy", "trained_on")
            files.write_json(job.output("accuracy"), {**on_all, "train_set": train_set})
            return
        kept = selection.at_random(train.labels, as_many, seed)
    row = {"dataset": job.config["dataset"], "train_set": train_set}
    row |= evaluation.tested(
        train.images[kept], train.labels[kept], test, protocol=protocol, seed=seed, device=device,
        progress=f"{train_set}, seed {seed}",
    )  # fmt: skip
    row["seconds"] = round(time.perf_counter() - started, 3)
    logger.info("%s, seed %d: accuracy %.4f on %d test images", train_set, seed, row["accuracy"], len(test.labels))
    files.write_json(
        job.output("accuracy"),
        row | evaluation.files_used(train_file, test_file) | {"made_from": provenance.of(job, device)},
    )


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
