"""What Snakemake makes of a source that was changed, moved or fetched from elsewhere."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.data.pictures import classes, packed, put

from .conftest import copy_project, snakemake

TARGETS = tuple(f"data/mine/{split}.safetensors" for split in ("train", "validation", "test"))
BLOCK = """
reports: {mine: [mine]}
experiments:
  mine:
    source: {kind: folder, path: pics, validation_per_class: 1, test_per_class: 1}
    model: {patch_size: 4, embed_dim: 32, depth: 2, num_heads: 2}
    train: {iterations: 20, slice_iterations: 20, batch_size: 16}
    fid: {every: 10, images: 50, features: classifier}
    sample: {images: 60}
    evaluate: {protocol: {steps: 5, width: 16}}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pictures are prepared; tests change the sources back."""
    folder = copy_project(tmp_path_factory.mktemp("sources") / "project")
    (folder / "tiny.yaml").write_text(BLOCK)
    put(folder / "pics", *classes(5, "a", "b"))
    done = snakemake(folder, *TARGETS)
    assert done.returncode == 0, done.stderr
    return folder


def planned(folder: Path, source: str | None = None) -> set[str]:
    """The rules that would run, with other keys of the source."""
    overlay = [] if source is None else [f"experiments={{mine: {{source: {source}}}}}"]
    done = snakemake(folder, "--dry-run", *TARGETS, *(["--config", *overlay] if overlay else []))
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    return {rule for rule in ("fetch", "prepare") if f"rule {rule}:" in said}


def test_a_changed_picture_is_noticed(prepared: Path) -> None:
    whole = (prepared / "pics/b/4.png").read_bytes()
    (prepared / "pics/b/4.png").write_bytes((prepared / "pics/a/0.png").read_bytes())
    os.utime(prepared / "pics/b/4.png", (1e9, 1e9))  # older than what was made
    assert planned(prepared) == {"prepare"}
    (prepared / "pics/b/4.png").write_bytes(whole)
    assert planned(prepared) == set()


def test_the_same_content_elsewhere_reruns_nothing(prepared: Path) -> None:
    shutil.copytree(prepared / "pics", prepared / "copied", copy_function=shutil.copyfile)
    (prepared / "copied/a/Thumbs.db").write_text("nothing")
    assert planned(prepared, "{path: copied/}") == set()
    assert planned(prepared, "{path: copied, seed: 1}") == {"prepare"}


@pytest.mark.slow
def test_mirrors_and_paths_to_one_archive(prepared: Path) -> None:
    archive = packed(prepared / "pics", "zip")
    checksum = "md5:" + hashlib.md5(archive.read_bytes()).hexdigest()
    fetched = f"    source: {{kind: folder, urls: ['{archive.as_uri()}'], checksum: '{checksum}', "
    fetched += "validation_per_class: 1, test_per_class: 1}\n"
    lines = BLOCK.splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if "source:" in line)
    (prepared / "tiny.yaml").write_text("".join([*lines[:place], fetched, *lines[place + 1 :]]))
    assert planned(prepared) == {"fetch", "prepare"}
    assert snakemake(prepared, *TARGETS).returncode == 0
    other = ", ".join(f"'{url}'" for url in ("https://a.invalid/b/other.zip", archive.as_uri()))
    assert planned(prepared) == planned(prepared, f"{{urls: [{other}]}}") == set()
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert planned(prepared, f"{{checksum: 'sha256:{sha256}'}}") == set()
    (prepared / f"data/raw/mine/{archive.name}").touch()
    assert planned(prepared) == set()
    assert planned(prepared, f"{{checksum: 'md5:{'0' * 32}'}}") == {"fetch", "prepare"}
    (prepared / f"data/raw/mine/{archive.name}").unlink()
    assert planned(prepared) == set() and planned(prepared, "{seed: 1}") == {"fetch", "prepare"}
    (prepared / "tiny.yaml").write_text(BLOCK.replace("path: pics", f"path: {archive.name}"))
    assert planned(prepared) == set()
