"""Which preempted jobs are sent again: what a SLURM of scripts says, and what it is asked to do."""

import os
from pathlib import Path

import pytest

from diffdistill.runtime import preemption

QUEUED = """7|rule_train_digits_20|{here}
8|rule_train_digits_40|{here}
9|(null)|{here}
10|rule_train_digits_20|/another/project
11|rule_train_digits_60|{here}
"""
SCONTROL = """#!/bin/sh
case "$1 $2" in
  "show config") echo "PreemptMode = CANCEL"; echo "PreemptType             = preempt/{kind}" ;;
  "show job") echo "JobId=$3 Comment=a=b Requeue={requeue} PreemptEligibleTime=1 PreemptTime={when} Command=x" ;;
  requeue*) [ "$2" = 11 ] && exit 1; echo "$2" >> {folder}/requeued ;;
esac
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script(tmp_path, "squeue", f"#!/bin/sh\ncat {tmp_path}/queued\n")
    (tmp_path / "queued").write_text(QUEUED.format(here=tmp_path))
    answer(tmp_path)
    return tmp_path


def answer(folder: Path, kind: str = "partition_prio", requeue: str = "1", when: str = "2026-11-27T22:40:56") -> None:
    script(folder, "scontrol", SCONTROL.format(folder=folder, kind=kind, requeue=requeue, when=when))


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def requeued(folder: Path) -> list[str]:
    path = folder / "requeued"
    return path.read_text().split() if path.exists() else []


def test_jobs_of_this_workflow_are_sent_again_and_no_others(slurm: Path) -> None:
    said: list[str] = []
    preemption.requeue_preempted(slurm, {"8"}, said.append)  # one of a run before, which nobody waits for
    assert requeued(slurm) == ["7"]
    assert said == ["job 7 (rule_train_digits_20) was preempted and is sent again"]  # SLURM refused the last one


@pytest.mark.parametrize(("kind", "watched"), [("none", False), ("partition_prio", True), ("qos", True)])
def test_a_slurm_that_never_preempts_is_not_watched(slurm: Path, kind: str, watched: bool) -> None:
    answer(slurm, kind)
    assert preemption.watch(slurm, print) == watched


def test_without_slurm_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert not preemption.watch(tmp_path, print) and not preemption.requeue_own_job()


@pytest.mark.parametrize(
    ("rank", "changed", "again"),
    [("0", {}, ["12"]), ("1", {}, []), ("0", {"when": "None"}, []), ("0", {"requeue": "0"}, [])],
)
def test_a_stage_that_saved_itself_sends_its_preempted_job_again(
    slurm: Path, monkeypatch: pytest.MonkeyPatch, rank: str, changed: dict[str, str], again: list[str]
) -> None:
    answer(slurm, **changed)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(SystemExit) as ended:
        preemption.leave(15)
    assert ended.value.code == 143 and requeued(slurm) == again
