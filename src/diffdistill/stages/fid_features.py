"""Reads the train split; writes a classifier trained on it, whose penultimate layer gives the features of FID."""

import sys
from collections.abc import Sequence

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import image_files
from diffdistill.runtime import devices, program, provenance


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    device, data = devices.best_device(), image_files.load(job.input("train"))
    protocol = training.Protocol(**config.read(config.Protocol, job.config["classifier"]).model_dump())
    classifier = training.fit(
        data.images, data.labels, num_classes=len(data.classes), protocol=protocol,
        statistics=training.statistics(protocol, data.images), seed=job.config["seed"], device=device,
        progress="features",
    )  # fmt: skip
    made = image_files.origin_of(data.metadata) | provenance.as_metadata(job, device)
    classifier.to_file(job.output("features"), data.classes, made)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
