"""Reads a train set, the test split, a seed and what to vary; writes the accuracy of the network trained so.

It also reads the distilled set if its number of images counts, the classifier that gives soft labels, and the
training on all real images, which is not repeated if the distilled set is as large.
"""

import logging
import time

import torch
from torch import Tensor

from diffdistill.classify import evaluation, training
from diffdistill.config import Protocol, stages
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime import devices, files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.StudyRun]) -> None:
    devices.set_up(job.threads)
    device, started = devices.best_device(), time.perf_counter()
    run, seed = job.settings.run, job.settings.seed
    train_file, test_file = job.input("train"), job.input("test")
    train, test = evaluation.load(train_file, test_file)
    size = _size_to_match(job)
    varied = {**run.model_dump(mode="json"), "run": run.name}
    if run.full_real_run and size is not None and size >= len(train.labels):
        logger.info("the distilled set counts as %d images, the real one has %d", size, len(train.labels))
        whole = files.read_record(job.input("whole"), "accuracy", "trained_on")
        files.write_json(job.output("accuracy"), whole | varied)
        return
    kept = _kept(job, train, size)
    images, labels = train.images[kept], train.labels[kept]
    if run.mix is not None:
        real = evaluation.load(job.input("real"), test_file)[0]
        images, labels = torch.cat([real.images, images]), torch.cat([real.labels, labels])
    if run.labels == "soft":
        classifier = evaluation.classifier_for(job.input("classifier"), train_file, train, device)
        labels = training.logits(classifier, images).softmax(1)
    row = varied | evaluation.tested(
        images, labels, test, protocol=_protocol(job, train), seed=seed, device=device,
        progress=f"{run.name}, seed {seed}", architecture=run.architecture,
    )  # fmt: skip
    row["seconds"] = round(time.perf_counter() - started, 3)
    logger.info("%s, seed %d: accuracy %.4f on %d test images", run.name, seed, row["accuracy"], len(test.labels))
    files.write_json(job.output("accuracy"), row | evaluation.files_used(train_file, test_file))


def _size_to_match(job: Job[stages.StudyRun]) -> int | None:
    """How many images the distilled set counts as, if that many real ones are drawn."""
    run = job.settings.run
    if run.train_set != "real-random" or run.images_per_class is not None:
        return None
    return image_files.stored_images(job.input("distilled"))


def _protocol(job: Job[stages.StudyRun], train: ImageSet) -> Protocol:
    run, protocol = job.settings.run, job.settings.protocol
    if run.epochs is not None:
        protocol = protocol.changed(epochs=run.epochs, steps=None)
    if run.equal_steps:
        # an epoch takes all images trained on, of which several may be stored as one
        is_distilled = run.train_set == "distilled"
        seen = train.labels if is_distilled else image_files.load_labels_and_metadata(job.input("distilled"))[0]
        protocol = protocol.changed(epochs=None, steps=training.total_steps(protocol, len(seen)))
    return protocol if run.augment else protocol.changed(augment="")


def _kept(job: Job[stages.StudyRun], train: ImageSet, size: int | None) -> Tensor:
    """Indices of the images trained on; size: of a random draw. Raises UserError if there are too few."""
    run, seed = job.settings.run, job.settings.seed
    every, count = selection.every(train.labels), run.images_per_class
    if count is not None:
        wanted, stored = count * len(train.classes), image_files.stored_images(job.input("train"))
        if wanted > stored:
            raise UserError(
                f"study.images_per_class: {count} makes {wanted} images, but {job.input('train')} has {stored}; "
                f"remove {count}"
            )
        # of a class with fewer images all are taken, and the other classes share the rest
        if run.train_set == "distilled":
            return selection.in_turn(train.labels)[: wanted * len(train.labels) // stored]
        return selection.at_random(train.labels, wanted, seed)
    if run.mix is not None:
        wanted = max(1, round(run.mix * image_files.stored_images(job.input("real"))))
        if wanted > len(every):
            raise UserError(
                f"study.mix: {run.mix:g} takes {wanted:,} images of {job.input('train')}, which has {len(every):,}; "
                f"remove {run.mix:g}, or sample more"
            )
        return every[:wanted]
    if run.budget_fraction is not None:
        return every[: max(1, round(run.budget_fraction * len(every)))]
    if size is not None and size < len(every):
        return selection.at_random(train.labels, size, seed)
    return every
