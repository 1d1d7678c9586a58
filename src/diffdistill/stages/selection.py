"""Reads the drawn images; writes the distilled set, those of them that the method keeps, some under another label.

Where the method asks a classifier, it reads the one trained on the real train split too, and the validation split: the
share of real images whose label the classifier confirms is what the share of generated ones compares with. Where the
pilot chose the method with the weights, its choice is read.
"""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from diffdistill import config
from diffdistill.classify import evaluation
from diffdistill.classify.training import Classifier
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.metrics import agreement, features
from diffdistill.runtime import devices, files, program, provenance

logger = logging.getLogger("diffdistill")

GREEDY = {"herding": selection.herding, "k_centre": selection.k_centre}


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    block = _chosen(job) if "chosen" in job.inputs else config.read(config.Select, job.config)
    samples = image_files.load(job.input("samples"))
    labels, left = samples.labels, selection.every(samples.labels)
    account: dict[str, Any] = {}
    pick = selection.randomly(block.seed)
    if block.needs_classifier:
        classifier = evaluation.judge_of(job.input("classifier"), job.input("samples"), samples, devices.best_device())
        labels, left, account = _judged(job, block, samples, classifier)
        if block.method in GREEDY:

            def of(members: Tensor) -> Array:
                return features.classifier_features(classifier, samples.images[left[members]])

            pick = selection.by_features(GREEDY[block.method], of)
    if block.counts:
        classes = len(samples.classes)
        counts = [block.per_class] * classes if block.per_class else selection.quotas(block.images or 0, classes)
        left = left[selection.per_class(labels[left], counts, pick)]
    kept = labels[left].bincount(minlength=len(samples.classes)).tolist()
    logger.info("method %s keeps %d of %d images, by class %s", block.method, len(left), len(samples.labels), kept)
    metadata = {
        **samples.metadata,
        "selected_by": json.dumps(block.model_dump(mode="json"), sort_keys=True),
        **provenance.as_metadata(job, devices.best_device()),
        "selection": json.dumps({"drawn": len(samples.labels), "kept_by_class": kept, **account}, sort_keys=True),
    }
    image_files.save(job.output("distilled"), samples.images[left], labels[left], metadata)


def _chosen(job: program.Job) -> config.Select:
    """What the pilot chose with the weights."""
    path = job.input("chosen")
    draw = config.read(config.Draw, files.read_record(path, "draw")["draw"], str(path))
    return draw.select or config.Select()


def _judged(
    job: program.Job, block: config.Select, samples: ImageSet, classifier: Classifier
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Labels (N,), the indices left, and what was done: mistakes dropped or relabelled by class, agreement."""
    predicted, confidence = agreement.judge(classifier, samples.images)
    labels, left, wrong = selection.repaired(
        samples.labels, predicted, confidence, above=block.confidence, label_noise=block.label_noise
    )
    done = {"keep": "kept as they are", "drop": "dropped", "relabel": "relabelled"}[block.label_noise]
    by_class = agreement.per_class(wrong, samples.labels, len(samples.classes))
    account: dict[str, Any] = {
        "label_agreement": agreement.label_agreement(predicted, samples.labels),
        "confident_mistakes_by_class": by_class,
        "mistakes_were": done,
    }
    logger.info("confident mistakes %s: %d, by class %s", done, sum(by_class), by_class)
    logger.info("label agreement of the drawn images: %.4f", account["label_agreement"])
    if "validation" in job.inputs:
        path = job.input("validation")
        real = image_files.load(path)
        image_files.require_same_classes(path, real, job.input("samples"), samples)
        account["label_agreement_real"] = agreement.label_agreement(
            agreement.judge(classifier, real.images)[0], real.labels
        )
        logger.info("label agreement of %d real images: %.4f", len(real.labels), account["label_agreement_real"])
    return labels, left, account


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
