"""Reads the train and the validation split, and samples to start from if the settings say so; writes the refined set.

Real images of the train split are what is matched, and also the start if the settings say so. Validation decides which
of the sets on the way is the result. Progress, and the best set so far, are kept in files beside the output that no
rule declares: the same command resumes from them.
"""

import json
import logging
import statistics
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.config.refine import Refine
from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints
from diffdistill.errors import UserError
from diffdistill.generators.diffusion import require_tuned
from diffdistill.generators.latent import decoder
from diffdistill.refining import sets
from diffdistill.refining.matching import Networks, Real
from diffdistill.refining.parameters import Latent, Parametrisation, Pixels
from diffdistill.refining.refiner import Ended, Refiner
from diffdistill.refining.state import State
from diffdistill.report import mosaics, style
from diffdistill.runtime import devices, files, preemption, provenance, tensor_files
from diffdistill.runtime.program import Job
from diffdistill.runtime.resuming import Progress, StopSignal

logger = logging.getLogger(__name__)

DERIVED = {
    "real": "real images of the train split, changed",
    "generated": "generated images, changed to match the real train split",
    "noise": "noise, changed to match the real train split",
}
"""By start: what the images are derived from, as the set's metadata and its card say it."""


def main(job: Job[stages.Refine]) -> None:
    devices.set_up(job.threads)
    progress = Progress(job.output("refined"), job.settings.refine.save_seconds)
    with progress.lock():
        if signal := _refine(job, progress):
            preemption.leave(signal)


def _refine(job: Job[stages.Refine], progress: Progress) -> int:
    """Returns the signal that stopped it, or 0."""
    device, protocol = devices.best_device(), job.settings.protocol
    block = job.settings.refine.completed(protocol)
    train, validation = (image_files.load(job.input(name)) for name in ("train", "validation"))
    image_files.require_same_classes(job.input("train"), train, job.input("validation"), validation)
    image_files.require_same_origin(job.input("train"), train.metadata, job.input("validation"), validation.metadata)
    real = Real.of(
        train.images.to(device), train.labels.to(device), len(train.classes),
        training.statistics(protocol, train.images),
    )  # fmt: skip
    networks = Networks(
        real.normalised_shape, len(train.classes), block.width or protocol.width, protocol.depth, protocol.momentum,
        protocol.weight_decay,
    )  # fmt: skip
    parameters, start = (
        _latent(job, block, train, device) if block.parametrisation == "latent" else _pixels(job, block, train)
    )
    metadata, state = _metadata(job, block, train), State.start(start.to(device), block.learning_rate, block.betas)
    _take_up(state, progress.path, metadata["origin"], networks.initial(block.seed, 0, device))
    best, stop = progress.path.with_name(f"{progress.output.stem}.best{progress.output.suffix}"), StopSignal()
    refiner = Refiner(
        block,
        real,
        parameters,
        networks,
        validate=lambda stored: _accuracy(stored, validation, block, device),
        keep=lambda stored: _save(best, stored, block.factor, metadata),
        save=lambda state: state.save(progress.path, metadata),
        due=progress.due,
        stop_signal=lambda: stop.number,
    )  # fmt: skip
    if signal := refiner.run(state):
        logger.info("signal %d: saved iteration %d; the same command resumes from it", signal, state.iteration)
        return signal
    assert state.best is not None
    before, after = (
        ImageSet(*sets.train_set(one, block.factor), train.classes, metadata)
        for one in (parameters.stored(start.to(device)).cpu(), state.best)
    )
    style.save(_pictures(before, after, train), job.output("pictures"))
    files.write_json(job.output("account"), _account(state, refiner.ended, block, device))
    _save(progress.output, state.best, block.factor, metadata)
    best.unlink(missing_ok=True)
    progress.finish()
    return 0


def _pictures(before: ImageSet, after: ImageSet, train: ImageSet) -> Figure:
    titles = json.loads(train.metadata.get("class_titles", train.metadata["classes"]))
    classes = mosaics.rows_shown(after.labels.bincount(minlength=len(titles)).tolist())
    return mosaics.samples(before, after, titles, classes, captions=("start", "refined"))


def _pixels(job: Job[stages.Refine], block: Refine, train: ImageSet) -> tuple[Parametrisation, Tensor]:
    """The stored images float32 (K, n, C, H, W) in 0..1 that refining starts from."""
    classes, (channels, height, width) = len(train.classes), train.images.shape[1:]
    if block.start == "noise":
        noise = sets.from_noise(classes, block.images_per_class, (channels, height, width), block.seed)
        return Pixels(block.factor), sets.pixels_from_noise(noise)
    source = train
    if block.start == "generated":
        path = job.input("start")
        source = image_files.load(path)
        image_files.require_same_classes(job.input("train"), train, path, source)
        image_files.require_same_shape(job.input("train"), train, path, source)
        image_files.require_same_origin(job.input("train"), train.metadata, path, source.metadata)
    try:
        start = sets.from_images(
            source.images, source.labels, classes, block.images_per_class, factor=block.factor,
            pick=sets.picks(block.start_pick, source.images, block.seed),
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f"refine.factor: {error}; change it") from error
    return Pixels(block.factor), start


def _latent(
    job: Job[stages.Refine], block: Refine, train: ImageSet, device: torch.device
) -> tuple[Parametrisation, Tensor]:
    """Noise float32 (K, n, C, H, W), and the denoiser that maps it to images."""
    checkpoint = checkpoints.load(job.input("weights"), device)
    image_files.require_same_origin(checkpoint.path, checkpoint.metadata, job.input("train"), train.metadata)
    require_tuned(checkpoint, block.solver)
    denoiser = checkpoint.denoiser.requires_grad_(False)
    if checkpoint.classes != train.classes or denoiser.image_shape != tuple(train.images.shape[1:]):
        raise UserError(f"{checkpoint.path} and {job.input('train')} differ in classes or images; make both again")
    noise = sets.from_noise(len(train.classes), block.images_per_class, denoiser.image_shape, block.seed)
    return Latent(decoder(denoiser, block.solver, seed=block.seed)), noise


def _metadata(job: Job[stages.Refine], block: Refine, train: ImageSet) -> dict[str, str]:
    """Of the refined set; `origin` decides whether a state belongs to this run, which its budget does not."""
    made_from = provenance.of(job.settings, job.inputs, devices.best_device())
    # with a decay the iterations decide the rate of each of them
    plain = {"iterations", "decay"} if block.decay == "none" else set[str]()
    deciding = block.model_dump(mode="json", exclude={"budget_seconds", "save_seconds", *plain})
    origin = {"refine": deciding, "protocol": made_from["settings"]["protocol"], "inputs": made_from["inputs"]}
    titles = {name: train.metadata[name] for name in ("class_titles",) if name in train.metadata}
    return {
        "classes": json.dumps(train.classes),
        **titles,
        **image_files.origin_of(train.metadata),
        "made_by": f"diffdistill refine, {block.method}, start {block.start}, seed {block.seed}",
        "derived_from": DERIVED[block.start],
        "stored_images": str(len(train.classes) * block.images_per_class),
        "origin": json.dumps(origin, sort_keys=True),
        "made_from": json.dumps(made_from, sort_keys=True),
    }


def _take_up(state: State, progress: Path, origin: str, network: Any) -> None:
    if not progress.exists():
        return
    if tensor_files.load(progress, lambda name: False)[1].get("origin") != origin:
        logger.info("%s was made with other settings; starting over", progress)
        return
    state.load(progress, network)
    logger.info("resuming from %s at iteration %d", progress, state.iteration)


def _accuracy(stored: Tensor, validation: ImageSet, block: Refine, device: torch.device) -> float:
    """Mean accuracy on validation of short trainings on the bytes that would be written."""
    images, labels = sets.train_set(stored, block.factor)
    short = block.validation
    assert short is not None
    found = [
        training.accuracy(
            training.fit(
                images, labels, num_classes=len(validation.classes), protocol=short, seed=seed, device=device,
                statistics=training.statistics(short, images), progress=f"validation, seed {seed}",
            ),
            validation.images,
            validation.labels,
        )
        for seed in block.validation_seeds
    ]  # fmt: skip
    logger.info("validation accuracy %.4f", statistics.mean(found))
    return statistics.mean(found)


def _save(path: Path, stored: Tensor, factor: int, metadata: dict[str, str]) -> None:
    images, labels = sets.train_set(stored, factor)
    image_files.save(path, images, labels, metadata)


def _account(state: State, ended: Ended, block: Refine, device: torch.device) -> dict[str, Any]:
    best = max(state.history, key=lambda row: (row[1], row[0]))
    logger.info(
        "iteration %d of %d is the best: validation accuracy %.4f; %.0f s", best[0], state.iteration, best[1],
        state.seconds,
    )  # fmt: skip
    return {
        "start": block.start,
        "derived_from": DERIVED[block.start],
        "method": block.method,
        "seconds": round(state.seconds, 3),
        "iterations": state.iteration,
        "ended_by": ended,
        "best_iteration": int(best[0]),
        "validation": [
            {"iteration": int(iteration), "accuracy": accuracy, "seconds": round(seconds, 3)}
            for iteration, accuracy, seconds in state.history
        ],
        "stored_images_per_class": block.images_per_class,
        "images_per_class": block.start_images,
        "machine": devices.describe(device),
    }
