"""Reads one weights file and the validation split; writes the accuracy there of ConvNets trained on a few samples.

The distilled set's purpose is tried on a small scale: few images, and a short training, repeated with several seeds.
Autoguidance also reads the weights of an earlier iteration, and a selection the classifier.
"""

import json
import logging
import time

import torch
from torch import Tensor

from diffdistill.classify import evaluation, training
from diffdistill.config import Select, as_json, stages
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.checkpoints import Checkpoint
from diffdistill.diffusion.labels import balanced
from diffdistill.errors import UserError
from diffdistill.generators.diffusion import DiffusionGenerator
from diffdistill.metrics import agreement, ranking
from diffdistill.runtime import devices, files
from diffdistill.runtime.program import Job
from diffdistill.runtime.progress import Bar

logger = logging.getLogger(__name__)


def main(job: Job[stages.Pilot]) -> None:
    devices.set_up(job.threads)
    settings, device, started = job.settings, devices.best_device(), time.perf_counter()
    protocol, setup = settings.protocol, settings.setup
    checkpoint, validation = checkpoints.load(job.input("weights"), device), image_files.load(job.input("validation"))
    _require_same_images(job, checkpoint, validation)
    samples, nfe = _samples(job, checkpoint)
    kept = samples
    if setup.select is not None and setup.select.needs_classifier:
        kept = _selected(job, setup.select, samples)
    correct = []
    for seed in settings.seeds:
        classifier = training.fit(
            kept.images, kept.labels, num_classes=len(kept.classes), protocol=protocol,
            statistics=training.statistics(protocol, kept.images), seed=seed, device=device,
            progress=f"pilot, seed {seed}",
        )  # fmt: skip
        correct.append(training.logits(classifier, validation.images).argmax(1) == validation.labels)
    accuracy, error = ranking.accuracy_and_error(torch.stack(correct))
    row = {
        "name": checkpoint.path.stem,
        "step": checkpoint.step,
        "accuracy": accuracy,
        "standard_error": error,
        "images": len(samples.images),
        "kept": len(kept.images),
        "seeds": list(settings.seeds),
        "accuracies": [float(one.double().mean()) for one in correct],
        "setup": setup.model_dump(mode="json"),
        "nfe": nfe,
        "evaluations_in_all": settings.evaluations,
        "seconds": round(time.perf_counter() - started, 3),
        "seed": settings.seed,
        "protocol": as_json(protocol),
        "validated_on": files.sha256(job.input("validation")),
        "weights_sha256": files.sha256(checkpoint.path),
        "machine": devices.describe(device),
    }
    logger.info(
        "%s: accuracy %.4f ± %.4f on %d validation images", row["name"], accuracy, error, len(validation.labels)
    )
    files.write_json(job.output("pilot"), row)


def _require_same_images(job: Job[stages.Pilot], checkpoint: Checkpoint, validation: ImageSet) -> None:
    """Raises UserError unless the checkpoint samples images such as those of validation."""
    path = job.input("validation")
    size = tuple(validation.images.shape[1:])
    if checkpoint.metadata.get("classes") != json.dumps(validation.classes) or checkpoint.denoiser.image_shape != size:
        raise UserError(f"{checkpoint.path} has other classes or image sizes than {path}; make both again")
    image_files.require_same_origin(path, validation.metadata, checkpoint.path, checkpoint.metadata)


def _samples(job: Job[stages.Pilot], checkpoint: Checkpoint) -> tuple[ImageSet, int]:
    """As many samples as the given evaluations suffice for, and the NFE."""
    settings, device = job.settings, devices.best_device()
    setup, batch_size = settings.setup, settings.batch_size
    if setup.solver is None:
        raise UserError("setup.solver is missing; add it")
    generator = DiffusionGenerator.of_checkpoint(
        checkpoint, setup.solver, seed=settings.seed, device=device, guidance=setup.guidance,
        guides=job.inputs.get("guide", []),
    )  # fmt: skip
    num_classes = generator.num_classes
    generator.generate(0, balanced(0, 1, num_classes))
    assert generator.nfe is not None
    count = max(num_classes, settings.evaluations // generator.nfe)
    labels = balanced(0, count, num_classes)
    batches: list[Tensor] = [
        generator.generate(first, labels[first : first + batch_size])
        for first in Bar(range(0, count, batch_size), desc="sample", unit="batch", disable=None)
    ]
    return ImageSet(torch.cat(batches), labels, checkpoint.classes, dict(checkpoint.metadata)), generator.nfe


def _selected(job: Job[stages.Pilot], select: Select, samples: ImageSet) -> ImageSet:
    """The images that the selection would leave, under its labels."""
    device = devices.best_device()
    classifier = evaluation.classifier_for(job.input("classifier"), job.input("weights"), samples, device)
    labels, left, _ = selection.without_label_noise(
        samples.labels,
        *agreement.predict(classifier, samples.images),
        above=select.confidence,
        label_noise=select.label_noise,
    )
    return ImageSet(samples.images[left], labels[left], samples.classes, samples.metadata)
