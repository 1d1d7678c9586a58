"""Reads the train split; writes the features' weights (a classifier trained on it) and the split's mean and covariance.

With `features: inception` the weights are a given file, and only mean and covariance are made.
"""

import json
import sys
from collections.abc import Sequence

import torch

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import images as image_files
from diffdistill.metrics import features, frechet
from diffdistill.runtime import device as devices
from diffdistill.runtime import files, program


def stage(job: program.Job) -> None:
    devices.use_threads(job.threads)
    device = devices.best_device()
    kind, seed = job.config["features"], job.config["seed"]
    data = image_files.load(job.input("train"))
    if kind == "classifier":
        protocol = training.Protocol(**config.read(config.Protocol, job.config["classifier"]).model_dump())
        classifier = training.fit(
            data.images, data.labels, num_classes=len(data.classes), protocol=protocol,
            statistics=training.statistics(protocol, data.images), seed=seed, device=device, progress="features",
        )  # fmt: skip
        network_file = job.output("features")
        classifier.to_file(network_file, data.classes)
    else:
        network_file = job.input("inception")
    values = features.of_images(kind, network_file, data.images, device)
    mean, covariance = frechet.mean_and_covariance(values)
    metadata = {
        "features": kind,
        "features_sha256": files.sha256(network_file),
        "images": str(len(data.images)),
        "split": "train",
        "classes": json.dumps(data.classes),
        "source_checksum": data.metadata["source_checksum"],
    }
    tensors = {"mean": torch.from_numpy(mean), "covariance": torch.from_numpy(covariance)}
    files.save_tensors(job.output("reference"), tensors, metadata)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
