"""Reads one weights file and the reference; writes the Fréchet distance of freshly drawn images as JSON."""

import json
import logging
import sys
import time
from collections.abc import Sequence

import torch
from tqdm import tqdm

from diffdistill import config
from diffdistill.data import images as image_files
from diffdistill.diffusion import sampling, weights
from diffdistill.errors import UserError
from diffdistill.metrics import features, frechet
from diffdistill.runtime import device as devices
from diffdistill.runtime import files, program
from diffdistill.runtime import tensors as tensor_files

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.use_threads(job.threads)
    device, started = devices.best_device(), time.perf_counter()
    solver = config.read(config.Solver, job.config["solver"]).model_dump()
    images, batch_size, seed = job.config["images"], job.config["batch_size"], job.config["seed"]
    weights_file, network_file = job.input("weights"), job.input("features")
    network, shape, made = weights.load(weights_file, device)
    reference, about = tensor_files.load(job.input("reference"))
    for key, found in (
        ("features_sha256", files.sha256(network_file)),
        ("source_checksum", made.get("source_checksum")),
        ("classes", made.get("classes")),
        ("shape", json.dumps([shape.in_chans, shape.img_size, shape.img_size])),
    ):
        if about.get(key) != found:
            raise UserError(f"{job.input('reference')}: {key} is {about.get(key)}, but {found} here; make it again")
    image_files.require_same_origin(job.input("reference"), about, weights_file, made)
    drawn = []
    for first in tqdm(range(0, images, batch_size), desc="fid", unit="batch", disable=None):
        count = min(batch_size, images - first)
        drawn.append(sampling.draw(network, shape, solver, seed=seed, first=first, count=count, device=device)[0])
    values = features.of_images(about["features"], network_file, torch.cat(drawn), device)
    mean, covariance = frechet.mean_and_covariance(values)
    if images < 2048:
        logger.info("%d images are few for a Fréchet distance: compare it only with others of as many", images)
    distance = frechet.frechet_distance(mean, covariance, reference["mean"].numpy(), reference["covariance"].numpy())
    row = {
        "step": int(made["step"]),
        "fid": distance,
        "images": images,
        "features": about["features"],
        "solver": f"{solver['algorithm']} {solver['method']} {solver['order']}",
        "evaluations": solver["steps"],
        "seconds": round(time.perf_counter() - started, 3),
        "seed": seed,
        "weights": "ema",
        "features_sha256": about["features_sha256"],
        "reference": f"{about['split']} of {about['images']}",
        "source_checksum": about["source_checksum"],
        "weights_sha256": files.sha256(weights_file),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    logger.info("step %d: FID %.4f", row["step"], distance)
    files.write_json(job.output("fid"), row)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
