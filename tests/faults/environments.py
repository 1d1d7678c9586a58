"""Everything that a user's environment can bend, and a tiny workflow that must give the same bytes under each entry.

The tiny workflow is planned by Snakemake once; its commands then run in one fresh interpreter per entry, which spares
all but one of the imports.
"""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from benchmarks.tiny import timeless

from diffdistill import config
from diffdistill.planning import report
from diffdistill.planning.plan import Plan

REPOSITORY = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((REPOSITORY / ".test/config.yaml").read_text())
"""The tiny experiment that the workflow catalogue asks for: `snakemake --directory .test`."""
PAGE = "results/reports/tiny/report.html"
SETTINGS = "results/reports/tiny/settings.json"
SAME = ("results/digits/distilled.safetensors", "results/digits/accuracy.csv", "results/digits/baselines.csv")
DRIVER = """
import json, sys
from diffdistill.__main__ import main
for argv in json.load(open(sys.argv[1])):
    code = main(argv)
    if code:
        sys.exit(code)
"""
"""Runs stages one after the other in one interpreter."""


@dataclass(frozen=True)
class Environment:
    """One thing that is bent. Values may say {folder}, the project's folder, and {away}, one beside it."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Text by path in the project's folder."""
    umask: int | None = None
    folder: str = "project"
    """What the project's folder is called."""
    streams: str = "pipe"
    """Where output goes: pipe, closed, or full for a full disk."""

    def fits(self, other: "Environment") -> bool:
        """Whether both can be bent at once: nothing is bent by both."""
        return not (
            self.variables.keys() & other.variables.keys()
            or self.files.keys() & other.files.keys()
            or (self.umask is not None and other.umask is not None)
            or "project" not in (self.folder, other.folder)
            or "pipe" not in (self.streams, other.streams)
        )

    def merged(self, other: "Environment") -> "Environment":
        """Both at once."""
        return Environment(
            f"{self.name}; {other.name}",
            {**self.variables, **other.variables},
            {**self.files, **other.files},
            self.umask if other.umask is None else other.umask,
            self.folder if other.folder == "project" else other.folder,
            self.streams if other.streams == "pipe" else other.streams,
        )


def together(environments: Sequence[Environment], most: int = 6) -> list[Environment]:
    """The same in fewer environments, at most so many at once: one run then tests several."""
    groups: list[list[Environment]] = []
    for one in environments:
        free = (group for group in groups if len(group) < most and all(one.fits(other) for other in group))
        group = next(free, None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return [functools.reduce(Environment.merged, group) for group in groups]


def _variables(name: str, **variables: str) -> Environment:
    return Environment(name, variables)


ENVIRONMENTS = [
    _variables("a notebook's MPLBACKEND", MPLBACKEND="module://matplotlib_inline.backend_inline"),
    _variables("a MPLBACKEND without a display", MPLBACKEND="TkAgg", DISPLAY=":99"),
    _variables("another hash seed", PYTHONHASHSEED="1"),
    _variables("the C locale", LANG="C", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0"),
    _variables("the Turkish locale", LANG="tr_TR.UTF-8", LC_ALL="tr_TR.UTF-8"),
    _variables("a locale with decimal commas", LANG="de_DE.UTF-8", LC_ALL="de_DE.UTF-8"),
    _variables("a locale that is not UTF-8", LC_ALL="POSIX", PYTHONUTF8="0", PYTHONIOENCODING="latin-1"),
    _variables("a locale that does not exist", LC_ALL="xx_XX.KOI8"),
    _variables("more threads by OMP_NUM_THREADS", OMP_NUM_THREADS="3", MKL_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2"),
    _variables("OMP_NUM_THREADS that is no number", OMP_NUM_THREADS="many"),
    _variables("another time zone", TZ="Asia/Kathmandu"),
    _variables("a fixed date of builds", SOURCE_DATE_EPOCH="0"),
    _variables("a home that does not exist", HOME="/proc/nobody"),
    Environment("a home that is no folder", {"HOME": "{folder}/taken"}, {"taken": ""}),
    Environment(
        "caches that may not be written",
        {name: "{folder}/taken/cache" for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR")},
        {"taken": ""},
    ),
    _variables("a narrow terminal", COLUMNS="10", LINES="1", TERM="dumb"),
    _variables("colours asked for", FORCE_COLOR="1", CLICOLOR_FORCE="1", TERM="xterm-256color"),
    _variables("warnings shown", PYTHONWARNINGS="always"),
    _variables("warnings as errors", PYTHONWARNINGS="error"),
    _variables("assertions left out", PYTHONOPTIMIZE="2"),
    _variables("no bytecode", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1"),
    _variables("debugging switched on", PYTHONFAULTHANDLER="1", PYTHONDEVMODE="1"),
    _variables("no GPUs", CUDA_VISIBLE_DEVICES=""),
    _variables("a proxy that does not answer", http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9"),
    Environment(
        "a matplotlibrc in the folder", files={"matplotlibrc": "savefig.dpi: 300\nfont.size: 30\naxes.facecolor: red\n"}
    ),
    Environment(
        "a matplotlibrc by variable", {"MATPLOTLIBRC": "{folder}/mine"}, {"mine": "lines.linewidth: 9\nfont.size: 5\n"}
    ),
    Environment("a .condarc in the folder", files={".condarc": "channels: [nowhere]\nsolver: none\n"}),
    Environment("a pyproject.toml in the folder", files={"pyproject.toml": "[tool.ruff]\nline-length = 1\n"}),
    Environment("a .env in the folder", files={".env": "OMP_NUM_THREADS=7\nPYTHONHASHSEED=3\n"}),
    Environment(
        "modules of other names in the folder",
        files={name: "raise SystemExit('the wrong module')\n" for name in ("random.py", "torch.py", "statistics.py")},
    ),
    Environment("a closed umask", umask=0o077),
    Environment("an open umask", umask=0o000),
    Environment("a folder with spaces and umlauts", folder="my größe 'daten'"),
    Environment("a folder in letters of another script", folder="実験"),
    Environment("temporary files elsewhere", {"TMPDIR": "{away}"}),
    Environment("an empty PATH", {"PATH": ""}),
    Environment("nobody listens", streams="closed"),
    Environment("the terminal's disk is full", streams="full"),
]

NOT_FOR_SNAKEMAKE = {"PATH", "HOME", "XDG_CACHE_HOME", "PYTHONWARNINGS"}
"""Snakemake starts a shell, keeps a cache of its own below the user's home, and is not free of warnings."""
SEEN_BY_SNAKEMAKE = [
    *(one for one in ENVIRONMENTS if one.streams == "pipe" and not NOT_FOR_SNAKEMAKE & one.variables.keys()),
    _variables("a home that does not exist, and a cache", HOME="/proc/nobody", XDG_CACHE_HOME="{away}"),
    _variables("another profile in the shell", SNAKEMAKE_PROFILE="none"),
    _variables("a scheduler's variables", SLURM_JOB_ID="1", SLURM_CPUS_PER_TASK="7", PBS_JOBID="1", JOB_ID="1"),
    Environment("a profile of the user's", {"HOME": "{folder}"}, {".config/snakemake/mine/config.yaml": "cores: 1\n"}),
]
"""What may bend the planning."""
MODULE = """
configfile: "config.yaml"

module distillation:
    snakefile: "{root}/workflow/Snakefile"
    config: config

use rule * from distillation as dd_*

rule everything:
    default_target: True
    input: rules.dd_all.input
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    said: str


class Tiny:
    """The tiny workflow: what Snakemake plans for it, and what comes of it."""

    def __init__(self, folder: Path) -> None:
        self.project = copied_project(folder)
        planned = snakemake(self.project, {}, "--dry-run", "--printshellcmds", PAGE)
        assert planned.code == 0, planned.said
        self.commands = commands(planned.said)
        self.arguments = [words[words.index("diffdistill") + 1 :] for words in self.commands]

    def run(self, place: Path, environment: Environment) -> tuple[Outcome, dict[str, Any]]:
        """All its stages in a new folder below `place`, and what they make."""
        folder, away = place / environment.folder, place / "away"
        folder.mkdir()
        away.mkdir()
        write_files(folder, environment)
        plan = Plan(config.parse(CONFIG))
        settings = report.report(plan, "tiny", str(REPOSITORY / "resources/leaderboard.csv"))
        (folder / SETTINGS).parent.mkdir(parents=True)
        (folder / SETTINGS).write_text(config.as_json(settings, sort_keys=False))
        (place / "arguments.json").write_text(json.dumps(self.arguments))
        command = [sys.executable, "-P", "-c", DRIVER, str(place / "arguments.json")]
        ended = started(command, folder, away, environment)
        return ended, made(folder) if ended.code == 0 else {}


def write_files(folder: Path, environment: Environment) -> None:
    for path, text in environment.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def started(command: list[str], folder: Path, away: Path, environment: Environment) -> Outcome:
    """A command in the environment, run to its end; what it said, as far as somebody listens."""
    variables = {name: value.format(folder=folder, away=away) for name, value in environment.variables.items()}
    with Path("/dev/full").open("w") as full:
        out: Any = full if environment.streams == "full" else subprocess.PIPE
        ended = subprocess.run(
            command, cwd=folder, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=out, timeout=280,
            stderr=subprocess.PIPE, preexec_fn=_before(environment),
        )  # fmt: skip
    said = b"".join(text for text in (ended.stdout, ended.stderr) if text)
    return Outcome(ended.returncode, said.decode(errors="replace"))


def _before(environment: Environment) -> Callable[[], None]:
    def before() -> None:
        if environment.umask is not None:
            os.umask(environment.umask)
        if environment.streams == "closed":
            os.close(1)

    return before


def copied_project(folder: Path) -> Path:
    """The files that a user gets, with the tiny experiment as the only one."""
    for name in ("workflow", "resources", "profiles", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / ".test/config.yaml", folder)
    return folder


def snakemake(folder: Path, variables: Mapping[str, str], *arguments: str) -> Outcome:
    """Snakemake in a folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return started(command, folder, folder.parent, Environment("", variables))


def commands(said: str) -> list[list[str]]:
    """The words of the stages' commands that Snakemake printed, in the order in which they can run."""
    found = re.findall(r"^Shell command: (exec python .* diffdistill .*)$", said, re.MULTILINE)
    return [_without_log(shlex.split(line)) for line in found]


def _without_log(words: list[str]) -> list[str]:
    at = words.index("--log")
    return words[:at] + words[at + 2 :]


def made(folder: Path) -> dict[str, Any]:
    """What must be the same everywhere, by path: bytes, or rows without what a clock says."""
    figures = sorted((folder / "results/reports/tiny/figures").iterdir())
    results = {path: timeless(folder / path) for path in SAME}
    return results | {f"figures/{path.name}": path.read_bytes() for path in figures}
