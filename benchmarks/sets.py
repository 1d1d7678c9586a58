"""Seconds and memory of reading 50,000 images of 32x32 in each form: `python -m benchmarks.sets [FORM ...]`.

The images are noise over random shades, so that PNG files have about the size of photographs'. Each form is read in a
process of its own, whose highest resident memory counts, torch included.
"""

import argparse
import io
import json
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.measuring import machine, run
from diffdistill.data import export
from diffdistill.data.image_files import ImageSet

IMAGES, SIDE, CLASSES = 50_000, 32, [f"class {label:03d}" for label in range(100)]
MEAN, STD = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
SECONDS, MEBIBYTES = 20.0, 1024.0
"""What reading may take at most."""
WHOLE = (".pt of torch before 1.6",)
"""Cannot be mapped, and so is in memory as a whole: for comparison, without a limit of memory."""
SCRIPT = """
import json, re, sys, time
from pathlib import Path
from diffdistill.config.generator import SamplesGenerator
from diffdistill.data import sets
path, output, keys, classes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
started = time.perf_counter()
block = SamplesGenerator(kind="samples", path=str(path), **keys)
found = sets.read(path, block, sets.RealSet(classes, (3, 32, 32)), output, {"classes": json.dumps(classes)})
seconds = time.perf_counter() - started
# not getrusage, whose peak a process takes over from the one that started it
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps([seconds, time.process_time(), peak, found.line, found.bytes]))
"""


def images() -> ImageSet:
    random = np.random.default_rng(0)
    shades = random.integers(40, 216, (IMAGES, 3, 4, 4)).repeat(8, 2).repeat(8, 3)
    pixels = np.clip(shades + random.integers(-20, 21, shades.shape), 0, 255).astype(np.uint8)
    return ImageSet(torch.from_numpy(pixels), torch.arange(IMAGES) % len(CLASSES), CLASSES, {})


def normalised(data: ImageSet) -> torch.Tensor:
    mean, std = (torch.tensor(part).reshape(-1, 1, 1) for part in (MEAN, STD))
    return (data.images.float() / 255 - mean) / std


def pictures(data: ImageSet) -> Iterator[tuple[str, bytes]]:
    for row, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "PNG", compress_level=1)
        yield f"{CLASSES[label]}/{row:05d}.png", buffer.getvalue()


def folder(path: Path, data: ImageSet) -> None:
    for name in CLASSES:
        (path / name).mkdir(parents=True)
    for name, picture in pictures(data):
        (path / name).write_bytes(picture)


def archive(path: Path, data: ImageSet) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, picture in pictures(data):
            file.writestr(name, picture)


def tar(path: Path, data: ImageSet) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        for name, picture in pictures(data):
            entry = tarfile.TarInfo(name)
            entry.size = len(picture)
            file.addfile(entry, io.BytesIO(picture))


def condensed(path: Path, data: ImageSet) -> None:
    soft = torch.nn.functional.one_hot(data.labels, len(CLASSES)).float() * 0.9 + 0.001
    torch.save({"data": [[normalised(data), soft]], "accs_all_exps": {}}, path)


Making = Callable[[Path, ImageSet], Any]
NORMALISED: dict[str, Any] = {"mean": MEAN, "std": STD, "classes": CLASSES}
FORMS: dict[str, tuple[str, Making, dict[str, Any]]] = {
    "folder per class": ("set", folder, {}),
    "zip of it": ("set.zip", archive, {}),
    "tar.gz of it": ("set.tar.gz", tar, {}),
    "Parquet": ("set.parquet", export.write_parquet, {}),
    "npz, bytes, channels last": (
        "set.npz",
        lambda path, data: np.savez(path, arr_0=data.images.permute(0, 2, 3, 1).numpy(), arr_1=data.labels.numpy()),
        {"classes": CLASSES},
    ),
    "npz, float64, compressed": (
        "set64.npz",
        lambda path, data: np.savez_compressed(path, x=data.images.double().numpy() / 255, y=data.labels.numpy()),
        {"classes": CLASSES},
    ),
    "safetensors, float32": (
        "set.safetensors",
        lambda path, data: save_file({"images": data.images.float() / 127.5 - 1, "labels": data.labels}, path),
        {"classes": CLASSES},
    ),
    "the challenge's .pt, 500 per class": (
        "challenge.pt",
        lambda path, data: torch.save(normalised(data)[data.labels.argsort(stable=True)], path),
        NORMALISED,
    ),
    "DC's .pt, soft labels": ("res_DC.pt", condensed, NORMALISED),
    ".pt of torch before 1.6": (
        "old.pt",
        lambda path, data: torch.save((normalised(data), data.labels), path, _use_new_zipfile_serialization=False),
        NORMALISED,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("forms", nargs="*", choices=[[], *FORMS], help="all by default")
    chosen = parser.parse_args().forms or list(FORMS)
    print(f"{IMAGES} images of {SIDE}x{SIDE}; {machine()}\n")
    print("| form | MB | seconds (at most 20) | CPU seconds, start included | MiB of memory (at most 1024) |")
    print("|---|---|---|---|---|")
    missed, data = 0, images()
    for form in chosen:
        name, make, keys = FORMS[form]
        with tempfile.TemporaryDirectory() as place:
            path, output = Path(place, name), Path(place, "out.safetensors")
            make(path, data)
            answer = run([sys.executable, "-c", SCRIPT, str(path), str(output), json.dumps(keys), json.dumps(CLASSES)])
            seconds, processor, memory, _, size = json.loads(answer)
        print(f"| {form} | {size / 1e6:.0f} | {seconds:.1f} | {processor:.1f} | {memory:.0f} |", flush=True)
        missed += seconds > SECONDS or (memory > MEBIBYTES and form not in WHOLE)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
