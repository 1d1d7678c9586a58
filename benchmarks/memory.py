"""Memory of sampling and of preparing: it must not grow with the number of images."""

import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.measuring import PAIRS, Row, run
from diffdistill.diffusion import training, weights

SCRIPT = (
    "import resource, sys; from diffdistill.stages import {stage}; code = {stage}.main(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
)
CLASSES = 10


def peak(stage: str, settings: dict[str, object], source: str, outputs: Sequence[str]) -> int:
    """Most memory resident at once, in KiB, of a stage's own process."""
    command = ["--config", json.dumps(settings), "--in", source, "--out", *outputs, "--threads", "2"]
    return int(run([sys.executable, "-c", SCRIPT.format(stage=stage), *command]).splitlines()[-1])


def sampling(folder: Path) -> Callable[[int], int]:
    shape = weights.Shape(8, 1, 3, 4, 32, 2, 2, 4.0)
    metadata = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "step": "0"}
    weights.save(folder / "w.safetensors", training.initialise(shape.build, 0).state_dict(), shape, metadata)
    outputs = [f"samples={folder / 's.safetensors'}", f"account={folder / 's.json'}"]

    def of(images: int) -> int:
        return peak(
            "sample", {"images": images, "solver": {"steps": 1}}, f"weights={folder / 'w.safetensors'}", outputs
        )

    return of


def preparing(folder: Path) -> Callable[[int], int]:
    picture = io.BytesIO()
    Image.effect_noise((32, 32), 60).convert("RGB").save(picture, "PNG")
    written = 0
    for label in range(CLASSES):
        (folder / "set" / f"class {label}").mkdir(parents=True)
    outputs = [f"{name}={folder / name}.safetensors" for name in ("train", "validation", "test")]

    def of(images: int) -> int:
        nonlocal written
        for index in range(written, images):
            (folder / "set" / f"class {index % CLASSES}" / f"{index}.png").write_bytes(picture.getvalue())
        written = images
        settings: dict[str, object] = {
            "kind": "folder", "path": "set", "validation_per_class": 20, "test_per_class": 20,
        }  # fmt: skip
        return peak("prepare", settings, f"source={folder / 'set'}", outputs)

    return of


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sampled, prepared = sampling(folder), preparing(folder)
        few, many = [prepared(10_000) for _ in range(PAIRS)], [prepared(100_000) for _ in range(PAIRS)]
        return [
            Row("memory of sampling 20,000 images", "1,000 images", 1.1,
                [sampled(20_000) / sampled(1_000) for _ in range(PAIRS)], at_most=True),
            Row("memory of preparing a folder of 100,000 pictures, 32x32", "10,000 pictures", 1.1,
                [much / little for little, much in zip(few, many, strict=True)], at_most=True),
        ]  # fmt: skip
