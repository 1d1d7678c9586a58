"""Reads the distilled set, the weights that drew it, and the real train and validation splits.

Writes whether train images were memorised, as JSON, and a picture of the generated images that most resemble one.
The share by pixels is a test; that by features is a hint, for their classifier was trained on the train split itself.
"""

import itertools
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from diffdistill import config
from diffdistill.classify.training import Classifier
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import weights
from diffdistill.errors import UserError
from diffdistill.metrics import memorisation
from diffdistill.report import figures
from diffdistill.runtime import devices, files, program, provenance, tensor_files

logger = logging.getLogger("diffdistill")

PAIRS = 24


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    device, block = devices.best_device(), config.read(config.Audit, job.config)
    paths = [job.input(name) for name in ("distilled", "train", "validation")]
    distilled, train, held_out = sets = [image_files.load(path) for path in paths]
    for a, b in itertools.combinations(range(3), 2):
        image_files.require_same_classes(paths[a], sets[a], paths[b], sets[b])
        image_files.require_same_shape(paths[a], sets[a], paths[b], sets[b])
        image_files.require_same_origin(paths[a], sets[a].metadata, paths[b], sets[b].metadata)
    found = memorisation.distinct(train.images, held_out.images)
    if not (len(found.train) and len(found.held_out)):
        raise UserError(f"{paths[1]} and {paths[2]} hold the same images: nothing is held out to compare with")
    train, held_out = _only(train, found.train), _only(held_out, found.held_out)
    drawn = distilled.images[: block.images]
    embeddings: dict[str, memorisation.Embed] = {"pixels": memorisation.pixels}
    if "features" in job.inputs:
        path = job.input("features")
        made = tensor_files.load(path, lambda name: False)[1]
        image_files.require_same_origin(path, made, paths[1], train.metadata)
        embeddings["features"] = Classifier.from_file(path).to(device).features
    nearest: dict[str, Any] = {}
    shares = {}
    for space, embed in embeddings.items():
        near = memorisation.nearest(drawn, train.images, 2, embed=embed, device=device)
        far = memorisation.nearest(drawn, held_out.images, 1, embed=embed, device=device)
        hits = memorisation.hits(near, far, (len(train.labels), len(held_out.labels)))
        share = memorisation.share_in_train(*hits, train.labels.numpy(), held_out.labels.numpy(), seed=block.seed)
        shares[space] = share
        nearest[space] = {"share_in_train": asdict(share), "nearest_in_train": float(hits[0].sum())}
        logger.info("%s: share in train %.3f (%.3f to %.3f)", space, share.value, share.low, share.high)
        if space == "pixels":
            pairs = near
    of_held_out = memorisation.nearest(held_out.images, train.images, 2, embed=memorisation.pixels, device=device)[0]
    copies = tuple(
        memorisation.proportion(memorisation.much_nearer(distances)) for distances in (pairs[0], of_held_out)
    )
    membership = _membership(job, block, train, held_out, device)
    flagged, noticed = memorisation.reasons(shares, (copies[0], copies[1]), membership["all_times"])
    result = {
        "flagged": bool(flagged),
        "reasons": flagged,
        "noticed": noticed,
        "images": {"generated": len(drawn), "train": len(train.labels), "held_out": len(held_out.labels)},
        "duplicates_taken_out": {key: getattr(found, key) for key in ("inside_train", "inside_held_out", "in_both")},
        "equal_to_a_train_image": int((pairs[0][:, 0] == 0).sum()),
        "nearest": nearest,
        "three_times_nearer_to_one": {"generated": asdict(copies[0]), "held_out": asdict(copies[1])},
        "membership": {name: asdict(value) for name, value in membership.items()},
        "made_from": provenance.of(job, device),
    }
    logger.info("flagged: %s", "; ".join(flagged) or "nothing")
    files.write_json(job.output("audit"), result)
    figures.save(closest_pairs(drawn, train.images, *pairs), job.output("pairs"))


def _only(data: ImageSet, kept: Tensor) -> ImageSet:
    return ImageSet(data.images[kept], data.labels[kept], data.classes, data.metadata)


def _membership(
    job: program.Job, block: config.Audit, train: ImageSet, held_out: ImageSet, device: torch.device
) -> dict[str, memorisation.Membership]:
    """By the loss at each time, and at all of them together; train gives as many images a class as held-out has."""
    network, _, made = weights.load(job.input("weights"), device)
    image_files.require_same_origin(job.input("weights"), made, job.input("train"), train.metadata)
    classes = len(train.classes)
    counts = torch.minimum(*(data.labels.bincount(minlength=classes) for data in (train, held_out)))
    if counts.sum() > block.members:
        counts = counts.clamp(max=max(1, block.members // classes))
    losses = []
    for data in (train, held_out):
        some = selection.per_class(data.labels, counts.tolist(), selection.randomly(block.seed))
        losses.append(
            memorisation.losses(
                network, data.images[some], data.labels[some], times=block.times, noises=block.noises,
                seed=block.seed, batch_size=block.batch_size, device=device,
            )
        )  # fmt: skip
    members, others = losses
    by_time = {
        f"time_{t}": memorisation.membership(members[:, place], others[:, place], seed=block.seed)
        for place, t in enumerate(block.times)
    }
    return {"all_times": memorisation.membership(members.mean(1), others.mean(1), seed=block.seed), **by_time}


def closest_pairs(drawn: Tensor, train: Tensor, distances: Tensor, indices: Tensor) -> Figure:
    """The generated images (left) that lie most nearly on one train image (right), by d1 / d2 of the two nearest."""
    ratio = distances[:, 0] / distances[:, 1].clamp(min=1e-12)
    closest = ratio.argsort()[:PAIRS].tolist()
    with mpl.rc_context(figures.STYLE):
        figure = Figure(figsize=(8, 1.25 * -(-len(closest) // 4) + 0.5), layout="constrained")
        figure.suptitle("generated | nearest train image, and how much nearer than the second nearest", fontsize=9)
        grid = figure.subplots(-(-len(closest) // 4), 4, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, place in zip(grid.flat, closest, strict=False):
            images = [drawn[place], train[indices[place, 0]]]
            edge = torch.full_like(images[0][..., :1], 255)
            pair = torch.cat([images[0], edge, images[1]], dim=2).permute(1, 2, 0)  # (H, 2 W + 1, C)
            axes.imshow(pair.expand(-1, -1, 3).numpy(), interpolation="nearest")
            axes.set_title(f"{ratio[place]:.2f}", fontsize=8, loc="center")
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
