"""Bad input ends in one line that names file or key, value and remedy; exit code 2; nothing is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import command

SOURCE = {"kind": "cifar100", "validation_per_class": 5}


def outputs(folder: Path, *names: str) -> dict[str, Path]:
    return {name: folder / f"{name}.safetensors" for name in names}


def refused(capsys: pytest.CaptureFixture[str], code: int, *parts: str) -> None:
    err = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in err
    line = next(line for line in err.splitlines() if "error: " in line)
    for part in parts:
        assert part in line


def prepare(folder: Path, archive: Path, **source: Any) -> int:
    splits = outputs(folder, "train", "validation", "test")
    return command.run("prepare", {"source": {**SOURCE, **source}}, {"source": archive}, splits)


def test_a_wrong_checksum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(b"not the archive")
    checksum = "md5:" + "0" * 32
    code = prepare(tmp_path, archive, path=str(archive), checksum=checksum)
    refused(capsys, code, str(archive), checksum, "source.checksum")
    assert list(tmp_path.iterdir()) == [archive]


def test_a_missing_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, prepare(tmp_path, tmp_path / "none.tar.gz", path="none.tar.gz"), "none.tar.gz")
    assert not list(tmp_path.iterdir())


def test_a_cut_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "20.safetensors"
    state.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    settings = {"name": "10", "step": 10, "ema_decay": 0.9}
    code = command.run("weights", settings, {"state": state}, outputs(tmp_path, "weights"))
    refused(capsys, code, str(state), "delete it and run again")
    assert list(tmp_path.iterdir()) == [state]


def test_distances_of_different_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = []
    for step, images in ((10, 1000), (20, 5000)):
        path = tmp_path / f"{step}.json"
        path.write_text(json.dumps([{"name": str(step), "step": step, "fid": 1.0, "images": images}]))
        inputs.append(("fid", path))
    code = command.run("checkpoint", {"by": "fid"}, inputs, outputs(tmp_path, "table", "checkpoint", "weights"))
    refused(capsys, code, "20.json", "images is 5000, but 1000")


def test_a_misspelt_setting(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"protocol": {"step": 5}, "seed": 0, "train_set": "distilled"}
    code = command.run("evaluate", settings, {"train": "a", "test": "b"}, {"accuracy": "c"})
    refused(capsys, code, "unknown key 'step'", "'steps'")


def test_a_superfluous_setting(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"by": "fid", "solver": {}}
    refused(capsys, command.run("checkpoint", settings, {}, {}), "--settings: unknown key 'solver'")


def test_settings_that_are_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, command.main(["history", "--settings", "{"]), "--settings: not valid JSON")
    refused(capsys, command.main(["history", "--settings", "[1]"]), "--settings: a JSON object is needed")


def test_an_input_that_is_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        capsys,
        command.run("fid_reference", {"features": "classifier"}, {}, {}),
        "--in features=PATH must be given exactly once, found 0",
    )
    settings = {"measurement": {"solver": {}, "images": 10, "batch_size": 5, "seed": 0}}
    refused(capsys, command.run("fid", settings, {}, {}), "--in weights=PATH is missing; give it at least once")


def test_an_unknown_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["trian"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unknown stage 'trian'") and "  train " in error


def test_help_prints_stages_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0 and "fid_reference" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["evaluate", "--help"])
    assert "  train_set: Literal['distilled'" in capsys.readouterr().out
