"""The profiles: written from one table, complete for the rules that need a GPU, and runnable with a fake queue."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from profiles.write import profiles, rules_with_gpus

from tests.workflow.conftest import copy_project

REPOSITORY = Path(__file__).parents[1]
TABLE = yaml.safe_load((REPOSITORY / "profiles/resources.yaml").read_text())
ENGINES = [name for name in TABLE["engines"]]
FAKE_QSUB = """#!/bin/sh
# a queue that starts every job at once: prints its number, keeps its exit status
for script; do :; done
echo "$@" >> "$QUEUE/submitted"
number=$$
( sh "$script" > "$QUEUE/$number.out" 2>&1; echo $? > "$QUEUE/$number.code" ) > /dev/null 2>&1 &
echo $number
"""
FAKE_QSTAT = """#!/bin/sh
for number; do :; done
if [ -e "$QUEUE/$number.code" ]; then
  printf '    job_state = F\\n    Exit_status = %s\\n' "$(cat "$QUEUE/$number.code")"
else
  printf '    job_state = R\\n'
fi
"""
FAKE_SCONTROL = """#!/bin/sh
echo "PreemptType = preempt/qos"
"""
FAKE_SQUEUE = """#!/bin/sh
echo "$@" >> "$QUEUE/asked"
"""


def dry_run(folder: Path, engine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = Path(TABLE["engines"][engine]["file"]).parent
    command = [sys.executable, "-m", "snakemake", "--profile", str(profile), "-n", "demo", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def needs_plugin(engine: str) -> None:
    if find_spec(f"snakemake_executor_plugin_{engine.replace('-', '_')}") is None:
        pytest.skip(f"the plugin is not installed: pip install --requirement envs/optional.lock ({engine})")


def test_the_profiles_are_those_of_the_table() -> None:
    for path, text in profiles().items():
        assert (REPOSITORY / path).read_text() == text, f"{path}: make profiles"


def test_every_rule_with_a_gpu_is_sent_where_gpus_are() -> None:
    asking = sum(path.read_text().count("        gpu=") for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    found = rules_with_gpus()
    assert asking <= len(found) == len(set(found)) and {"train", "fid", "evaluate", "reselect"} <= set(found)
    for path in profiles():
        assert list(yaml.safe_load((REPOSITORY / path).read_text())["set-resources"]) == found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dry_run_gives_jobs_what_the_engine_calls_them(engine: str, tmp_path: Path) -> None:
    needs_plugin(engine)
    run = dry_run(copy_project(tmp_path / "project"), engine)
    assert run.returncode == 0, run.stdout + run.stderr
    jobs = dict(re.findall(r"^rule (\w+):.*?^    resources: (.*?)$", run.stdout, re.MULTILINE | re.DOTALL))
    for key, value in TABLE["engines"][engine]["gpu"].items():
        assert f"{key}={str(value).strip(chr(39))}" in jobs["evaluate"]
    assert "runtime=" in jobs["train"] and "mem_mb=" in jobs["train"] and "gpu=1" in jobs["train"]


NODES = "experiments={digits: {train: {devices: 8, devices_per_node: 4}}}"


def test_more_devices_than_a_node_has_take_several_nodes(tmp_path: Path) -> None:
    needs_plugin("slurm")
    folder = copy_project(tmp_path / "project")
    run = dry_run(folder, "slurm", "--config", NODES, "--printshellcmds")
    assert run.returncode == 0, run.stdout + run.stderr
    jobs = dict(re.findall(r"^rule (\w+):.*?^    resources: (.*?)$", run.stdout, re.MULTILINE | re.DOTALL))
    for asked in ("nodes=2", "gpu=8", "mpi=srun", "tasks=2", "tasks_per_gpu=0", "slurm_extra=--gpus-per-node=4"):
        assert asked in jobs["train"].split(", ")
    assert "mem_mb=40000" in jobs["train"]  # of a node
    assert "gpu=4" in jobs["fid"] and "nodes=1" in jobs["fid"] and "mpi" not in jobs["fid"] + jobs["sample"]
    assert re.search(r"-m diffdistill.runtime.nodes 2 4 diffdistill train ", run.stdout)


@pytest.mark.parametrize("engine", [None, "lsf", "cluster-generic"])
def test_only_slurm_takes_several_nodes(engine: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    where = ["--cores", "1"]
    if engine is not None:
        needs_plugin(engine)
        where = ["--profile", str(Path(TABLE["engines"][engine]["file"]).parent)]
    command = [sys.executable, "-m", "snakemake", "-n", "demo", *where, "--config", NODES]
    folder = copy_project(tmp_path / "project")
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode != 0 and "train.devices 8 with devices_per_node 4 takes 2 nodes" in run.stdout + run.stderr


@pytest.mark.slow
def test_the_executor_alone_takes_several_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_plugin("slurm")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name in ("sbatch", "sinfo", "sacct", "sacctmgr"):
        (tmp_path / name).write_text("#!/bin/sh\necho no queue >&2; exit 1\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "--executor", "slurm", "--jobs", "1", "demo", "--config", NODES]
    command += ["--slurm-init-seconds-before-status-checks", "1"]
    folder = copy_project(tmp_path / "project")
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = run.stdout + run.stderr
    assert "takes 2 nodes" not in said and "no queue" in said, said  # the first job is submitted


@pytest.fixture
def queue(tmp_path: Path) -> dict[str, str]:
    """The environment in which `qsub` and `qstat` are the fake ones."""
    commands = tmp_path / "bin"
    commands.mkdir()
    fakes = {"qsub": FAKE_QSUB, "qstat": FAKE_QSTAT, "scontrol": FAKE_SCONTROL, "squeue": FAKE_SQUEUE}
    for name, text in fakes.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    folder = tmp_path / "queue"
    folder.mkdir()
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "QUEUE": str(folder)}


@pytest.mark.parametrize(
    ("written", "state"), [(None, "running"), ("0", "success"), ("1", "failed"), ("271", "failed")]
)
def test_the_status_command_reads_what_pbs_says(written: str | None, state: str, queue: dict[str, str]) -> None:
    if written is not None:
        (Path(queue["QUEUE"]) / "12.code").write_text(written)
    script = REPOSITORY / "profiles/cluster-generic/status.sh"
    run = subprocess.run([str(script), "12"], capture_output=True, text=True, env=queue)
    assert run.stdout == f"{state}\n"


def test_a_job_that_the_queue_does_not_know_has_failed(tmp_path: Path) -> None:
    qstat = tmp_path / "qstat"
    qstat.write_text("#!/bin/sh\necho unknown job >&2\nexit 153\n")
    qstat.chmod(0o755)
    script = REPOSITORY / "profiles/cluster-generic/status.sh"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run([str(script), "12"], capture_output=True, text=True, env=environment)
    assert run.stdout == "failed\n"


@pytest.mark.slow
def test_the_tiny_experiment_runs_in_a_queue_of_scripts(tmp_path: Path, queue: dict[str, str]) -> None:
    needs_plugin("cluster-generic")
    folder = copy_project(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/cluster-generic", "--configfile"]
    command += ["tiny.yaml", "few.yaml"]
    few = "fid: null, checkpoint: {by: last}, sample: {budget_seconds: null, images: 100}, evaluate: {seeds: [0]}"
    (folder / "few.yaml").write_text(f"experiments: {{digits: {{{few}}}}}\n")
    command += ["--jobs", "2", "--latency-wait", "20", "--seconds-between-status-checks", "1"]
    run = subprocess.run(
        [*command, "results/digits/accuracy.csv"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=queue,
        stdin=subprocess.DEVNULL,
    )
    outputs = "\n".join(path.read_text() for path in Path(queue["QUEUE"]).glob("*.out"))
    assert run.returncode == 0, run.stderr[-4000:] + outputs[-4000:]
    assert (folder / "results/digits/accuracy.csv").read_text().count("\n") == 2
    submitted = (Path(queue["QUEUE"]) / "submitted").read_text()
    assert re.search(r"-N train -q gpu .*ncpus=1:mem=16000mb:ngpus=1", submitted)
    assert "--states=PREEMPTED" in (Path(queue["QUEUE"]) / "asked").read_text()  # where SLURM preempts
    assert re.search(r"train digits 20: submitted\n(.*\n)*.*train digits 20: done in ", run.stderr)
