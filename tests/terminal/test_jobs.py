"""The lines of one job."""

import json
import os
from pathlib import Path

import pytest

from diffdistill.runtime import progress
from diffdistill.terminal.jobs import LONGEST_RESULT, Job, came_out

STAMP = "2026-01-02 03:04:05 "


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000, "2.34 MB")])
def test_what_came_out_has_its_size(size: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(size))
    assert came_out([str(tmp_path / "a")]) == f"{tmp_path / 'a'} ({text})"
    assert came_out([str(tmp_path / "absent"), "b", "c"]) == f"{tmp_path / 'absent'} and 2 more"


def test_a_folder_has_the_size_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "tables/more").mkdir(parents=True)
    for name in ("a.csv", "more/b.csv"):
        (tmp_path / "tables" / name).write_bytes(bytes(700))
    assert came_out([str(tmp_path / "tables")]) == f"{tmp_path / 'tables'} (1.4 kB)"


def test_the_name_is_the_rule_and_its_wildcards() -> None:
    assert Job.of({"rule_name": "train", "wildcards": {"experiment": "digits", "step": "20"}}).name == "train digits 20"
    assert Job.of({"rule_name": "demo", "wildcards": None, "local": False}).starts() == "demo: submitted"


def test_a_half_written_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    job = Job("train", [], [str(log)])
    assert job.loud() == []
    log.write_text(f"{STAMP}warning: the disk is sl")
    assert job.loud() == []
    with log.open("a") as file:
        file.write("ow\n")
    assert job.loud() == ["warning: the disk is slow"] and job.loud() == []


def test_the_result_is_the_last_message_if_it_is_short(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for message, shown in (("FID 12.5", "; FID 12.5"), ("x" * (LONGEST_RESULT + 1), "")):
        log.unlink(missing_ok=True)
        job = Job("fid", [], [str(log)])
        log.write_text(f"{STAMP}command: python\n{STAMP}{message}\n{STAMP}done in 1.0 s\n")
        job.loud()
        assert job.ends() == f"fid: done in 00:00{shown}"


def test_progress_is_what_the_stage_wrote_and_nothing_where_it_is_damaged(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    job = Job("train", [], [str(log)])
    assert job.progress() is None
    for text in ("{", "[]", json.dumps({"done": "half"})):
        progress.beside(log).write_text(text)
        assert job.progress() is None
    progress.beside(log).write_text(json.dumps({"done": 3, "total": None}))
    assert job.progress() == {"done": 3, "total": None}


def test_progress_of_an_attempt_that_was_killed_is_not_shown(tmp_path: Path) -> None:
    file = progress.beside(tmp_path / "a.log")
    file.write_text(json.dumps({"done": 3, "total": 9}))
    os.utime(file, (1, 1))
    assert Job("train", [], [str(tmp_path / "a.log")]).progress() is None


def test_the_log_of_the_attempt_before_is_not_read_again(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(f"{STAMP}error: the first attempt\n")
    job = Job("train", [], [str(log)])
    assert job.loud() == []
    log.unlink()
    log.write_text(f"{STAMP}error: the second attempt\n")
    assert job.loud() == ["error: the second attempt"]
