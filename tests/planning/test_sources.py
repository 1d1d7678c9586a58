"""Whether a source has to be prepared again: its content and settings decide, and not where it lies."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from diffdistill import config
from diffdistill.data import identity, tree
from diffdistill.errors import UserError
from diffdistill.planning import sources
from diffdistill.planning.plan import Plan
from tests.data.pictures import classes, packed, put

BLOCK = {
    "model": {"patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2},
    "train": {"iterations": 20, "slice_iterations": 20, "batch_size": 16},
    "fid": {"every": 10, "images": 50, "features": "classifier"},
    "sample": {"images": 60},
    "evaluate": {"protocol": {"steps": 5}},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, in which the tests run."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "pics", *classes(3, "a", "b"))
    return tmp_path


def plan(**source: Any) -> Plan:
    given = {"kind": "folder", "validation_per_class": 1, "test_per_class": 1} | source
    values = {"reports": {"r": ["x"]}, "targets": ["r"], "experiments": {"x": {**BLOCK, "source": given}}}
    return Plan(config.parse(values))


def state(**source: Any) -> sources.State:
    return sources.state(plan(**source), "x")


def prepare(**source: Any) -> None:
    """What the stage leaves."""
    now = state(**source)
    for split in sources.SPLITS:
        put(Path("data/x"), f"{split}.safetensors")
    content = now.content.model_dump(mode="json")
    path = source.get("path") or now.inputs[0]
    identity.write("data/x/source.json", identity.Record(**content, digests=tree.digests(path)))
    assert state(**source).unchanged


def test_nothing_is_unchanged_before_it_was_prepared(place: Path) -> None:
    assert not state(path="pics").unchanged and state(path="pics").inputs == []
    prepare(path="pics")
    Path("data/x/test.safetensors").unlink()
    assert not state(path="pics").unchanged


@pytest.mark.parametrize("other", ["pics/", "./pics", "copy", "absolute"])
def test_another_place_changes_nothing(place: Path, other: str) -> None:
    prepare(path="pics")
    shutil.copytree("pics", "copy", copy_function=shutil.copyfile)
    path = str(place / "pics") if other == "absolute" else other
    assert state(path=path).unchanged


def test_other_dates_change_nothing_and_are_remembered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(path="pics")
    os.utime("pics/a/0.png", (1, 1))
    assert state(path="pics").unchanged
    monkeypatch.setattr(tree, "digests", lambda *given, **named: pytest.fail("the contents are read again"))
    assert state(path="pics").unchanged


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"size": 4}, {"test_per_class": 2}, {"skip": ["*.txt"]}, {"bits": 12}, {"groups": "a(b)"}]
)
def test_other_settings_do(place: Path, change: dict[str, Any]) -> None:
    prepare(path="pics")
    assert not state(path="pics", **change).unchanged
    assert state(path="pics", verify="contents").unchanged


def test_another_content_does_and_the_old_one_again_does_not(place: Path) -> None:
    prepare(path="pics")
    Path("pics/a/0.png").rename("kept.png")
    assert not state(path="pics").unchanged
    Path("kept.png").rename("pics/a/0.png")
    assert state(path="pics").unchanged


def test_contents_on_request(place: Path) -> None:
    prepare(path="pics", verify="contents")
    stats = Path("pics/a/0.png").stat()
    Path("pics/a/0.png").write_bytes(bytes(stats.st_size))
    os.utime("pics/a/0.png", ns=(stats.st_atime_ns, stats.st_mtime_ns))
    assert not state(path="pics", verify="contents").unchanged


def test_a_source_that_was_removed_is_taken_for_the_recorded_one(place: Path) -> None:
    prepare(path="pics")
    shutil.rmtree("pics")
    assert state(path="pics").unchanged
    assert state(path="pics", seed=1).inputs == ["pics"]  # Snakemake says that it is missing


def test_mirrors_and_a_path_to_the_fetched_archive(place: Path) -> None:
    archive = packed(place / "pics", "zip")
    shutil.move(archive, put(place / "data/raw/x", "unused.png") / "set.zip")
    data = Path("data/raw/x/set.zip").read_bytes()
    sums = [f"{kind}:{hashlib.new(kind, data).hexdigest()}" for kind in ("md5", "sha256")]
    prepare(urls=["https://a.b/set.zip"], checksum=sums[0])
    for urls in (["https://c.d/set.zip"], ["https://c.d/other.zip", "https://a.b/set.zip"]):
        for checksum in (*sums, sums[0].upper().replace("MD5", "md5")):
            now = state(urls=urls, checksum=checksum)
            assert now.unchanged and now.inputs == ["data/raw/x/set.zip"]
    shutil.copy("data/raw/x/set.zip", "elsewhere.zip")
    assert state(path="elsewhere.zip").unchanged and state(path="data/raw/x/set.zip").unchanged
    assert not state(urls=["https://a.b/set.zip"], checksum=f"md5:{'0' * 32}").unchanged
    shutil.rmtree("data/raw")
    assert state(urls=["https://a.b/set.zip"], checksum=sums[0]).unchanged
    assert state(path="elsewhere.zip", seed=1).inputs == []


def test_the_table_of_groups_counts_by_its_content(place: Path) -> None:
    Path("g.csv").write_text("a/0.png,1\n")
    prepare(path="pics", groups="g.csv")
    shutil.copy("g.csv", "h.csv")
    assert state(path="pics", groups="h.csv").unchanged
    Path("h.csv").write_text("a/0.png,2\n")
    assert not state(path="pics", groups="h.csv").unchanged
    with pytest.raises(UserError, match=r"source\.groups: i\.csv: no such file"):
        state(path="pics", groups="i.csv")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1}', json.dumps({"version": "x", "extra": 1})])
def test_a_broken_record_counts_as_none(place: Path, text: str) -> None:
    prepare(path="pics")
    Path("data/x/source.json").write_text(text)
    assert not state(path="pics").unchanged


def test_what_cannot_be_read_is_named(place: Path) -> None:
    Path("pics/b/loop").symlink_to(place / "pics")
    with pytest.raises(UserError, match="a link back"):
        state(path="pics")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [("data/x", "or give another name or dataset"), ("link", "or give another"), ("data", "own$"), (".", "own$")],
)
def test_a_source_that_the_workflow_writes_into_is_refused(place: Path, path: str, remedy: str) -> None:
    put(place / "data/x", *classes(3, "a", "b"))
    (place / "link").symlink_to("data/x")
    with pytest.raises(UserError, match=rf"experiments\.x\.source\.path {path}: .* writes data/x, .*{remedy}"):
        sources.refuse_sources_that_are_written_into(plan(path=path))


@pytest.mark.parametrize("source", [{"path": "data/x/pictures"}, {"path": "data/other"}, {"path": "data/x.zip"}])
def test_pictures_beside_what_the_workflow_writes_are_not(place: Path, source: dict[str, Any]) -> None:
    sources.refuse_sources_that_are_written_into(plan(**source))
