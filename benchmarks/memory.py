"""Memory of sampling and of preparing: it must not grow with the number of images."""

import io
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from benchmarks import command
from benchmarks.measuring import PAIRS, Row, run
from benchmarks.models import Case
from diffdistill.config import Sample, Solver, Source, UViTModel, read, stages
from diffdistill.config.stages import Settings
from diffdistill.diffusion import checkpoints

SCRIPT = """
import re, sys
from pathlib import Path
from diffdistill.__main__ import main
code = main(sys.argv[1:])
# not getrusage, whose peak a process takes over from the one that started it
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""
CLASSES = 10
Peak = Callable[[int], int]
"""Number of images -> most memory resident at once, in KiB."""


def peak(stage: str, settings: Settings, inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> int:
    """Most memory resident at once, in KiB, of a stage's own process."""
    arguments = command.arguments(stage, settings, inputs, outputs, threads=2)
    return int(run([sys.executable, "-c", SCRIPT, *arguments]).splitlines()[-1])


def sampling(folder: Path) -> Peak:
    denoiser = Case(UViTModel(patch_size=4, embed_dim=32, depth=2, num_heads=2), (1, 8, 8), 3).build()
    metadata = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "step": "0"}
    checkpoints.save_denoiser(folder / "w.safetensors", denoiser, metadata)
    outputs = {"samples": folder / "s.safetensors", "account": folder / "s.json"}

    def of(images: int) -> int:
        settings = stages.Sample(sample=Sample(images=images, solver=Solver(order=1, nfe=1)))
        return peak("sample", settings, {"weights": folder / "w.safetensors"}, outputs)

    return of


def preparing(folder: Path) -> Peak:
    picture = io.BytesIO()
    Image.effect_noise((32, 32), 60).convert("RGB").save(picture, "PNG")
    written = 0
    for label in range(CLASSES):
        (folder / "set" / f"class {label}").mkdir(parents=True)
    outputs = {name: folder / f"{name}.safetensors" for name in ("train", "validation", "test")}

    def of(images: int) -> int:
        nonlocal written
        for index in range(written, images):
            (folder / "set" / f"class {index % CLASSES}" / f"{index}.png").write_bytes(picture.getvalue())
        written = images
        source = {"kind": "folder", "path": "set", "validation_per_class": 2, "test_per_class": 2}
        settings = stages.Prepare(source=read(Source, source, "memory"))
        return peak("prepare", settings, {"source": folder / "set"}, outputs)

    return of


def rows(toy: bool = False) -> list[Row]:
    pairs, samples, pictures = (1, (20, 40), (100, 200)) if toy else (PAIRS, (1_000, 20_000), (10_000, 100_000))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sampled, prepared = sampling(folder), preparing(folder)
        few, many = ([prepared(count) for _ in range(pairs)] for count in pictures)
        return [
            Row(f"memory of sampling {samples[1]:,} images", f"{samples[0]:,} images", 1.1,
                [sampled(samples[1]) / sampled(samples[0]) for _ in range(pairs)], at_most=True),
            Row(f"memory of preparing a folder of {pictures[1]:,} pictures, 32x32", f"{pictures[0]:,} pictures", 1.1,
                [much / little for little, much in zip(few, many, strict=True)], at_most=True),
        ]  # fmt: skip
