"""Bad input ends in one line that names file or key, value and remedy; exit code 2; nothing is written."""

import json
from pathlib import Path

import pytest

from diffdistill.stages import choose, evaluate, fid, prepare, weights

SOURCE = {"kind": "cifar100", "validation_per_class": 5}


def outputs(folder: Path, *names: str) -> list[str]:
    return [f"{name}={folder / name}.safetensors" for name in names]


def refused(capsys: pytest.CaptureFixture[str], code: int, *parts: str) -> None:
    err = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in err
    line = next(line for line in err.splitlines() if "error: " in line)
    for part in parts:
        assert part in line


def test_a_wrong_checksum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(b"not the archive")
    checksum = "md5:" + "0" * 32
    settings = json.dumps({**SOURCE, "path": str(archive), "checksum": checksum})
    splits = outputs(tmp_path, "train", "validation", "test")
    code = prepare.main(["--config", settings, "--in", f"source={archive}", "--out", *splits])
    refused(capsys, code, str(archive), checksum, "source.checksum")
    assert list(tmp_path.iterdir()) == [archive]


def test_a_missing_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.dumps({**SOURCE, "path": "none.tar.gz"})
    splits = outputs(tmp_path, "train", "validation", "test")
    code = prepare.main(["--config", settings, "--in", f"source={tmp_path / 'none.tar.gz'}", "--out", *splits])
    refused(capsys, code, "none.tar.gz")
    assert not list(tmp_path.iterdir())


def test_a_cut_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "20.safetensors"
    state.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    settings = '{"name": "10", "step": 10, "ema_decay": 0.9}'
    code = weights.main(["--config", settings, "--in", f"state={state}", "--out", *outputs(tmp_path, "weights")])
    refused(capsys, code, str(state), "delete it and run again")
    assert list(tmp_path.iterdir()) == [state]


def test_distances_of_different_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = []
    for step, images in ((10, 1000), (20, 5000)):
        path = tmp_path / f"{step}.json"
        path.write_text(json.dumps({"name": str(step), "step": step, "fid": 1.0, "images": images}))
        inputs.append(f"fid={path}")
    code = choose.main(["--in", *inputs, "--out", *outputs(tmp_path, "table", "chosen", "weights")])
    refused(capsys, code, "20.json", "images is 5000, but 1000")


def test_a_misspelt_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.dumps({"protocol": {"step": 5}, "seed": 0, "train_set": "distilled", "dataset": "x"})
    code = evaluate.main(["--config", settings, "--in", "train=a", "test=b", "--out", "accuracy=c"])
    refused(capsys, code, "unknown key 'step'", "'steps'")


def test_an_input_that_is_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.dumps({"solver": {}, "images": 10, "batch_size": 5, "seed": 0})
    refused(capsys, fid.main(["--config", settings]), "--in weights=PATH must be given exactly once, found 0")
