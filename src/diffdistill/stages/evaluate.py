"""Reads a train set, the test split and one seed; writes the accuracy of a ConvNet trained on that set alone.

The rules `evaluate`, `baseline` and `real_run` run this one stage on the distilled set, on samples and on real images:
all of them follow one protocol.
"""

import logging
import time

from diffdistill.classify import evaluation
from diffdistill.config import stages
from diffdistill.data import image_files, selection
from diffdistill.runtime import devices, files, provenance
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Evaluate]) -> None:
    devices.set_up(job.threads)
    device, started, settings = devices.best_device(), time.perf_counter(), job.settings
    seed, train_set = settings.seed, settings.train_set
    train_file, test_file = job.input("train"), job.input("test")
    train, test = evaluation.load(train_file, test_file)
    kept = selection.every(train.labels)
    if settings.per_class is not None:
        kept = selection.per_class(train.labels, [settings.per_class] * len(train.classes), selection.randomly(seed))
    elif train_set in ("real-random", "random-samples"):
        size = image_files.stored_images(job.input("distilled"))
        if size >= len(kept):
            logger.info("the distilled set counts as %d images of %d: this is the training on all", size, len(kept))
            whole = files.read_record(job.input("whole"), "accuracy", "trained_on")
            files.write_json(job.output("accuracy"), {**whole, "train_set": train_set})
            return
        kept = selection.at_random(train.labels, size, seed)
    row = {"train_set": train_set} | evaluation.tested(
        train.images[kept], train.labels[kept], test, protocol=settings.protocol, seed=seed, device=device,
        progress=f"{train_set}, seed {seed}",
    )  # fmt: skip
    row["seconds"] = round(time.perf_counter() - started, 3)
    logger.info("%s, seed %d: accuracy %.4f on %d test images", train_set, seed, row["accuracy"], len(test.labels))
    made_from = provenance.of(settings, job.inputs, device)
    files.write_json(
        job.output("accuracy"), row | evaluation.files_used(train_file, test_file) | {"made_from": made_from}
    )
