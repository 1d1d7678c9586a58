"""Reads a distilled set, the network of the features, the classifier and the reference; writes FID and label agreement.

The images are those of the distilled set, so that a set from elsewhere is measured as one made here. A Fréchet distance
depends on the number of images: it is taken of several numbers per class, so that sets compare at an equal one.
"""

import logging

from diffdistill.classify import evaluation
from diffdistill.config import stages
from diffdistill.data import image_files, selection
from diffdistill.errors import UserError
from diffdistill.metrics import agreement, features, frechet
from diffdistill.runtime import devices, files, provenance, tensor_files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Measure]) -> None:
    devices.set_up(job.threads)
    device, path, kind = devices.best_device(), job.input("distilled"), job.settings.features
    data = image_files.load(path)
    classifier = evaluation.classifier_for(job.input("classifier"), path, data, device)
    reference, about = tensor_files.load(job.input("reference"))
    image_files.require_same_origin(job.input("reference"), about, path, data.metadata)
    network = files.sha256(job.input("features"))
    if (about.get("features"), about.get("features_sha256")) != (kind, network):
        raise UserError(
            f"{job.input('reference')}: made with other features than {job.input('features')}; make it again"
        )
    points = features.of_images(kind, job.input("features"), data.images, device)
    mean, covariance = reference["mean"].numpy(), reference["covariance"].numpy()
    classes, distances = len(data.classes), {}
    for each in rungs(int(data.labels.bincount(minlength=classes).min()), classes):
        kept = selection.per_class(data.labels, [each] * classes, selection.randomly(0)).numpy()
        own = frechet.mean_and_covariance(points[kept])
        distances[str(each)] = frechet.frechet_distance(*own, mean, covariance)
    agreed = agreement.label_agreement(agreement.predict(classifier, data.images)[0], data.labels)
    logger.info("label agreement %.4f, FID by images per class: %s", agreed, distances)
    row = {
        "features": kind,
        "features_sha256": network,
        "classifier_sha256": files.sha256(job.input("classifier")),
        "classes": classes,
        "images": len(data.labels),
        "fid": distances,
        "label_agreement": agreed,
        "made_from": provenance.of(job.settings, job.inputs, device),
    }
    files.write_json(job.output("measured"), row)


def rungs(most: int, classes: int) -> list[int]:
    """Images per class that a distance is taken of: 1, 2, 5, 10, 20, 50, ... up to `most`; two images in all."""
    steps = (digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5))
    return [each for each in steps if each <= most and each * classes >= 2]
