"""Reads the train split and the features' network; writes mean and covariance of the split's features."""

import json
import sys
from collections.abc import Sequence

import torch

from diffdistill.data import images as image_files
from diffdistill.metrics import features, frechet
from diffdistill.runtime import device as devices
from diffdistill.runtime import files, program
from diffdistill.runtime import tensors as tensor_files


def stage(job: program.Job) -> None:
    devices.use_threads(job.threads)
    kind, network_file = job.config["features"], job.input("features")
    data = image_files.load(job.input("train"))
    mean, covariance = frechet.mean_and_covariance(
        features.of_images(kind, network_file, data.images, devices.best_device())
    )
    metadata = {
        "features": kind,
        "features_sha256": files.sha256(network_file),
        "images": str(len(data.images)),
        "split": "train",
        "classes": json.dumps(data.classes),
        "shape": json.dumps(list(data.images.shape[1:])),
    }
    metadata |= {key: data.metadata[key] for key in ("source_checksum", "cut") if key in data.metadata}
    tensors = {"mean": torch.from_numpy(mean), "covariance": torch.from_numpy(covariance)}
    tensor_files.save(job.output("reference"), tensors, metadata)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
