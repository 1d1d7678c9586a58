"""Reads the train split; writes a classifier trained on it, for features, label agreement and soft labels."""

from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.runtime import devices, provenance
from diffdistill.runtime.program import Job


def main(job: Job[stages.Classifier]) -> None:
    devices.set_up(job.threads)
    device, data, settings = devices.best_device(), image_files.load(job.input("train")), job.settings
    classifier = training.fit(
        data.images, data.labels, num_classes=len(data.classes), protocol=settings.protocol,
        statistics=training.statistics(settings.protocol, data.images), seed=settings.seed, device=device,
        progress="classifier",
    )  # fmt: skip
    metadata = image_files.origin_of(data.metadata) | provenance.as_metadata(settings, job.inputs, device)
    classifier.to_file(job.output("classifier"), data.classes, metadata)
