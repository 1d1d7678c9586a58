"""Reads the samples; writes the distilled set: the samples that the method keeps, some under another label.

A method that needs a classifier reads it, and the validation split: the share of real images whose label the classifier
confirms is what the share of generated ones is compared with. If the pilot picked a
sampling setup, its selection replaces the one in the settings.
"""

import json
import logging
from typing import Any

from torch import Tensor

from diffdistill.classify import evaluation
from diffdistill.classify.training import Classifier
from diffdistill.config import Select, stages
from diffdistill.config.sampling import picked_setup
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.errors import UserError
from diffdistill.metrics import agreement, features
from diffdistill.runtime import devices, files, provenance
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Selection]) -> None:
    devices.set_up(job.threads)
    select, samples = _select(job), image_files.load(job.input("samples"))
    labels, left = samples.labels, selection.every(samples.labels)
    account: dict[str, Any] = {}
    pick = selection.randomly(select.seed)
    if select.needs_classifier:
        device = devices.best_device()
        classifier = evaluation.classifier_for(job.input("classifier"), job.input("samples"), samples, device)
        labels, left, account = _without_noise(job, select, samples, classifier)
        if select.method in selection.GREEDY:

            def of(members: Tensor) -> Array:
                return features.classifier_features(classifier, samples.images[left[members]])

            pick = selection.by_features(selection.GREEDY[select.method], of)
    if select.counts:
        sizes = labels[left].bincount(minlength=len(samples.classes)).tolist()
        left = left[selection.per_class(labels[left], _counts(select, sizes, samples.classes), pick)]
    kept = labels[left].bincount(minlength=len(samples.classes)).tolist()
    logger.info("method %s keeps %d of %d images, by class %s", select.method, len(left), len(samples.labels), kept)
    metadata = {
        **samples.metadata,
        "selected_by": json.dumps(select.model_dump(mode="json"), sort_keys=True),
        **provenance.as_metadata(job.settings, job.inputs, devices.best_device()),
        "selection": json.dumps({"sampled": len(samples.labels), "kept_by_class": kept, **account}, sort_keys=True),
    }
    image_files.save(job.output("distilled"), samples.images[left], labels[left], metadata)


def _counts(select: Select, sizes: list[int], classes: list[str]) -> list[int]:
    """How many images to keep of each class. Raises UserError if there are too few."""
    if select.per_class is None:
        return selection.fair_counts(select.images or 0, sizes)
    for name, size in zip(classes, sizes, strict=True):
        if size < select.per_class:
            raise UserError(f"class '{name}' has {size} images, but select.per_class is {select.per_class}; lower it")
    return [select.per_class] * len(sizes)


def _select(job: Job[stages.Selection]) -> Select:
    if "checkpoint" not in job.inputs:
        return job.settings.select
    path = job.input("checkpoint")
    return picked_setup(files.read_record(path, "setup"), str(path)).select or Select()


def _without_noise(
    job: Job[stages.Selection], select: Select, samples: ImageSet, classifier: Classifier
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Labels (N,), the indices left, and what was done about label noise, by class."""
    predicted, confidence = agreement.predict(classifier, samples.images)
    labels, left, noisy = selection.without_label_noise(
        samples.labels, predicted, confidence, above=select.confidence, label_noise=select.label_noise
    )
    done = {"keep": "kept", "drop": "dropped", "relabel": "relabelled"}[select.label_noise]
    by_class = agreement.per_class(noisy, samples.labels, len(samples.classes))
    account: dict[str, Any] = {
        "label_agreement": agreement.label_agreement(predicted, samples.labels),
        "label_noise_by_class": by_class,
        "label_noise_was": done,
    }
    logger.info("label noise %s: %d images, by class %s", done, sum(by_class), by_class)
    logger.info("label agreement of the samples: %.4f", account["label_agreement"])
    if "validation" in job.inputs:
        path = job.input("validation")
        real = image_files.load(path)
        image_files.require_same_classes(path, real, job.input("samples"), samples)
        account["label_agreement_real"] = agreement.label_agreement(
            agreement.predict(classifier, real.images)[0], real.labels
        )
        logger.info("label agreement of %d real images: %.4f", len(real.labels), account["label_agreement_real"])
    return labels, left, account
