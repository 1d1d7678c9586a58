"""Reads the distilled set, the classifier, the real train and validation splits, and the weights if there are some.

Writes every measure of memorisation with its interval, threshold and verdict, as JSON, and a picture of the generated
images that most resemble one train image.
"""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from diffdistill import config
from diffdistill.classify.training import Classifier, logits
from diffdistill.config import stages
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.loss import losses_at
from diffdistill.errors import UserError
from diffdistill.metrics import gate, membership, memorisation
from diffdistill.report import mosaics, style
from diffdistill.runtime import devices, files, provenance, tensor_files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Audit]) -> None:
    devices.set_up(job.threads)
    device, block = devices.best_device(), job.settings.audit
    distilled, everything, held_out = _sets(job)
    distinct = memorisation.distinct(everything.images, held_out.images)
    if not (len(distinct.train) and len(distinct.held_out)):
        raise UserError(
            f"{job.input('train')} and {job.input('validation')} hold the same images: nothing is held out to compare "
            "with"
        )
    train, held_out = _only(everything, distinct.train), _only(held_out, distinct.held_out)
    generated, of_generated = distilled.images[: block.images], distilled.labels[: block.images]
    whole, units = len(generated) == len(distilled.images), _units(held_out)
    identical = memorisation.stands_in(distilled.images, everything.images)  # cheap enough for the whole set
    repeated = torch.arange(distinct.in_both + len(distinct.held_out)) < distinct.in_both
    measures = [gate.excess("identical", identical, repeated, units, whole=True)]
    nearest, pairs = _nearest(job, generated, train, held_out, device)
    of_held_out = memorisation.nearest(
        held_out.images, train.images, embed=memorisation.pixels, device=device, groups=train.groups
    )
    copied, natural = memorisation.much_nearer(pairs[0]), memorisation.much_nearer(of_held_out[0])
    measures.append(gate.excess("copies", copied, natural, units, whole=whole))
    for space, share in nearest.items():
        name = "nearest_neighbour" if space == "pixels" else f"nearest_neighbour_{space}"
        measures.append(gate.nearest(name, share, units))
    told, more = _membership(job, block, generated, (train, held_out), device)
    measures += more
    if "classifier" in job.inputs and len(generated):
        classifier = Classifier.from_file(job.input("classifier")).to(device)
        predicted = logits(classifier, generated).argmax(1)
        measures.append(gate.label_agreement(of_generated, predicted, len(train.classes)))
    result = {
        "verdict": gate.verdict(measures),
        "cannot_show": gate.CANNOT_SHOW,
        "not_audited": list(_not_audited(job, block, distilled, train)),
        "measures": [asdict(measure) for measure in measures],
        "images": {"generated": len(generated), "train": len(train.labels), "held_out": len(held_out.labels)},
        "groups": None if train.groups is None else {"train": _units(train).units, "held_out": units.units},
        "duplicates_taken_out": {key: getattr(distinct, key) for key in ("inside_train", "inside_held_out", "in_both")},
        "equal_to_a_train_image": int(identical.sum()),
        "nearest": {space: {"share_in_train": asdict(share)} for space, share in nearest.items()},
        "three_times_nearer_to_one": {
            kind: asdict(memorisation.proportion(marks))
            for kind, marks in (("generated", copied), ("held_out", natural))
        },
        "membership": {name: asdict(value) for name, value in told.items()},
        "made_from": provenance.of(job.settings, job.inputs, device),
    }
    for measure in measures:
        logger.info("%s: %s, %s", measure.name, measure.verdict, measure.reason)
    files.write_json(job.output("audit"), result)
    style.save(mosaics.closest_pairs(generated, train.images, *pairs), job.output("pairs"))


def _nearest(
    job: Job[stages.Audit], generated: Tensor, train: ImageSet, held_out: ImageSet, device: torch.device
) -> tuple[dict[str, memorisation.Share], tuple[Tensor, Tensor]]:
    """The share in train by the space of the distances, and what `nearest` finds in train by pixels."""
    shares, pairs = {}, None
    for space, embed in _spaces(job, train, device).items():
        near, far = (
            memorisation.nearest(generated, data.images, embed=embed, device=device, groups=data.groups)
            for data in (train, held_out)
        )
        hits = memorisation.hits(near, far, (len(train.labels), len(held_out.labels)))
        seed = job.settings.audit.seed
        shares[space] = memorisation.share_in_train(*hits, _real(train), _real(held_out), seed=seed)
        pairs = near if space == "pixels" else pairs
    assert pairs is not None
    return shares, pairs


def _real(data: ImageSet) -> memorisation.Real:
    return memorisation.Real(data.labels.numpy(), None if data.groups is None else data.groups.numpy())


def _units(data: ImageSet) -> gate.HeldOut:
    return gate.HeldOut(len(data.labels), _real(data).units)


def _not_audited(job: Job[stages.Audit], block: config.Audit, distilled: ImageSet, train: ImageSet) -> Iterator[str]:
    """What a reader could take to be covered and is not."""
    if "weights" not in job.inputs:
        yield "the weights of the generator: none were given, so that only the images were audited"
    if "classifier" not in job.inputs:
        yield "likeness beyond pixels: no classifier was given"
    if len(distilled.labels) > block.images:
        yield f"{len(distilled.labels) - block.images:,} of the {len(distilled.labels):,} generated images"
    if len(train.labels) > block.members:
        yield f"membership of all but {block.members:,} at most of the {len(train.labels):,} train images"
    if train.groups is None:
        yield "persons or other groups of images: the source names none, so that every image counts as independent"
    yield "copies of parts of an image, and mirrored, shifted or recoloured ones beyond what the features show"
    yield "attributes of persons that can be inferred, and linkage with other data"
    yield "what else was computed from real images: the classifier, choices by validation, published tables"


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
    groups = None if data.groups is None else data.groups[kept]
    return ImageSet(data.images[kept], data.labels[kept], data.classes, data.metadata, groups)


def _membership(
    job: Job[stages.Audit], block: config.Audit, generated: Tensor, real: tuple[ImageSet, ImageSet],
    device: torch.device,
) -> tuple[dict[str, membership.Membership], list[gate.Measure]]:  # fmt: skip
    """What tells train images from held-out ones: the distance to the nearest generated image, and the loss by time."""
    some = [_only(data, chosen) for data, chosen in zip(real, _members(block, *real), strict=True)]
    scores: dict[str, list[Tensor]] = {
        "distance": [
            memorisation.nearest(data.images, generated, embed=memorisation.pixels, device=device)[0][:, 0]
            for data in some
        ]
    }
    if "weights" in job.inputs:
        checkpoint = checkpoints.load(job.input("weights"), device)
        image_files.require_same_origin(checkpoint.path, checkpoint.metadata, job.input("train"), real[0].metadata)
        losses = [
            losses_at(
                checkpoint.denoiser, data.images, data.labels, times=block.times, noises=block.noises,
                seed=block.seed, batch_size=block.batch_size, device=device,
            )
            for data in some
        ]  # fmt: skip
        scores["loss"] = [loss.mean(1) for loss in losses]
        scores |= {f"loss_at_{t}": [loss[:, place] for loss in losses] for place, t in enumerate(block.times)}
    found = {name: membership.membership(*_by_unit(of, some), seed=block.seed) for name, of in scores.items()}
    units = _units(some[1])
    gated = [name for name in ("distance", "loss") if name in found]
    return found, [one for name in gated for one in gate.membership(f"membership_{name}", found[name], units)]


def _by_unit(scores: list[Tensor], of: list[ImageSet]) -> list[Any]:
    return [membership.by_group(score.numpy(), _real(data).groups) for score, data in zip(scores, of, strict=True)]


def _members(block: config.Audit, train: ImageSet, held_out: ImageSet) -> tuple[Tensor, Tensor]:
    """Indices of train and of held-out images whose membership is tested: the same classes in the same proportions.

    There are as many held-out images as `members` allows, and a whole multiple of train images if there are so many.
    """
    classes = len(train.classes)
    of_train, counts = (data.labels.bincount(minlength=classes) for data in (train, held_out))
    if counts.sum() > block.members:
        counts = counts.clamp(max=max(1, block.members // classes))
    counts = torch.minimum(counts, of_train)
    times = min([int(of_train[label] // counts[label]) for label in counts.nonzero().flatten()], default=1)
    times = max(1, min(times, block.members // max(1, int(counts.sum()))))
    pick = selection.randomly(block.seed)
    return (
        selection.per_class(train.labels, (times * counts).tolist(), pick),
        selection.per_class(held_out.labels, counts.tolist(), pick),
    )
