"""Reads the distilled set, the classifier, the real train and validation splits, and the weights if there are some.

Writes whether train images were memorised, as JSON, and a picture of the generated images that most resemble one. The
share by pixels is a test; that by features is a hint, because the classifier was trained on the train split itself.
"""

import itertools
import logging
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from diffdistill import config
from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.loss import losses_at
from diffdistill.errors import UserError
from diffdistill.metrics import memorisation
from diffdistill.report import mosaics, style
from diffdistill.runtime import devices, files, provenance, tensor_files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Audit]) -> None:
    devices.set_up(job.threads)
    device, block = devices.best_device(), job.settings.audit
    distilled, train, held_out = _sets(job)
    distinct = memorisation.distinct(train.images, held_out.images)
    if not (len(distinct.train) and len(distinct.held_out)):
        raise UserError(
            f"{job.input('train')} and {job.input('validation')} hold the same images: nothing is held out to compare "
            "with"
        )
    train, held_out = _only(train, distinct.train), _only(held_out, distinct.held_out)
    generated = distilled.images[: block.images]
    nearest: dict[str, Any] = {}
    shares = {}
    for space, embed in _spaces(job, train, device).items():
        near = memorisation.nearest(generated, train.images, 2, embed=embed, device=device)
        far = memorisation.nearest(generated, held_out.images, 1, embed=embed, device=device)
        hits = memorisation.hits(near, far, (len(train.labels), len(held_out.labels)))
        share = memorisation.share_in_train(*hits, train.labels.numpy(), held_out.labels.numpy(), seed=block.seed)
        shares[space] = share
        nearest[space] = {"share_in_train": asdict(share), "nearest_in_train": float(hits[0].sum())}
        logger.info("%s: share in train %.3f (%.3f to %.3f)", space, share.value, share.low, share.high)
        if space == "pixels":
            pairs = near
    of_held_out = memorisation.nearest(held_out.images, train.images, 2, embed=memorisation.pixels, device=device)[0]
    copies = [memorisation.proportion(memorisation.much_nearer(distances)) for distances in (pairs[0], of_held_out)]
    membership = _membership(job, block, train, held_out, device) if "weights" in job.inputs else None
    all_times = membership["all_times"] if membership is not None else None
    flagged, noticed = memorisation.reasons(shares, (copies[0], copies[1]), all_times)
    result = {
        "flagged": bool(flagged),
        "reasons": flagged,
        "noticed": noticed,
        "images": {"generated": len(generated), "train": len(train.labels), "held_out": len(held_out.labels)},
        "duplicates_taken_out": {key: getattr(distinct, key) for key in ("inside_train", "inside_held_out", "in_both")},
        "equal_to_a_train_image": int((pairs[0][:, 0] == 0).sum()),
        "nearest": nearest,
        "three_times_nearer_to_one": {"generated": asdict(copies[0]), "held_out": asdict(copies[1])},
        "membership": None if membership is None else {name: asdict(value) for name, value in membership.items()},
        "made_from": provenance.of(job.settings, job.inputs, device),
    }
    logger.info("flagged: %s", "; ".join(flagged) or "nothing")
    files.write_json(job.output("audit"), result)
    style.save(mosaics.closest_pairs(generated, train.images, *pairs), job.output("pairs"))


def _sets(job: Job[stages.Audit]) -> list[ImageSet]:
    """The distilled set, train and validation. Raises UserError if they do not belong together."""
    paths = [job.input(name) for name in ("distilled", "train", "validation")]
    sets = [image_files.load(path) for path in paths]
    for a, b in itertools.combinations(range(3), 2):
        image_files.require_same_classes(paths[a], sets[a], paths[b], sets[b])
        image_files.require_same_shape(paths[a], sets[a], paths[b], sets[b])
        image_files.require_same_origin(paths[a], sets[a].metadata, paths[b], sets[b].metadata)
    return sets


def _spaces(job: Job[stages.Audit], train: ImageSet, device: torch.device) -> dict[str, memorisation.Embed]:
    """What distances are taken between: pixels, and the features of the classifier if it is given."""
    spaces: dict[str, memorisation.Embed] = {"pixels": memorisation.pixels}
    if "classifier" in job.inputs:
        path = job.input("classifier")
        metadata = tensor_files.load(path, lambda name: False)[1]
        image_files.require_same_origin(path, metadata, job.input("train"), train.metadata)
        spaces["features"] = Classifier.from_file(path).to(device).features
    return spaces


def _only(data: ImageSet, kept: Tensor) -> ImageSet:
    return ImageSet(data.images[kept], data.labels[kept], data.classes, data.metadata)


def _membership(
    job: Job[stages.Audit], block: config.Audit, train: ImageSet, held_out: ImageSet, device: torch.device
) -> dict[str, memorisation.Membership]:
    """By the loss at each time, and at all of them together, on equally many train and held-out images per class."""
    checkpoint = checkpoints.load(job.input("weights"), device)
    image_files.require_same_origin(checkpoint.path, checkpoint.metadata, job.input("train"), train.metadata)
    classes = len(train.classes)
    counts = torch.minimum(*(data.labels.bincount(minlength=classes) for data in (train, held_out)))
    if counts.sum() > block.members:
        counts = counts.clamp(max=max(1, block.members // classes))
    losses = []
    for data in (train, held_out):
        some = selection.per_class(data.labels, counts.tolist(), selection.randomly(block.seed))
        losses.append(
            losses_at(
                checkpoint.denoiser, data.images[some], data.labels[some], times=block.times, noises=block.noises,
                seed=block.seed, batch_size=block.batch_size, device=device,
            ).numpy()
        )  # fmt: skip
    members, others = losses
    by_time = {
        f"time_{t}": memorisation.membership(members[:, place], others[:, place], seed=block.seed)
        for place, t in enumerate(block.times)
    }
    return {"all_times": memorisation.membership(members.mean(1), others.mean(1), seed=block.seed), **by_time}
