"""`diffdistill run`: snakemake with the workflow that came with the package, in the current folder."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from diffdistill import config
from diffdistill.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]


def workflow_folder() -> Path:
    """The folder that holds workflow/, profiles/ and resources/: of an installed package, else of the clone.

    Raises UserError if neither has it.
    """
    for folder in (PACKAGE / "_workflow", PACKAGE.parents[1]):
        if (folder / "workflow" / "Snakefile").is_file():
            return folder
    raise UserError(f"{PACKAGE}: the package came without its workflow; install a wheel, or run from a clone")


def shipped_names() -> set[str]:
    """Experiments, data sets, reports and comparisons of the workflow's own config, which other files overlay.

    Raises UserError if it is not there, or was edited and cannot be read.
    """
    path = workflow_folder() / "config.yaml"
    try:
        shipped = config.parse(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())}); restore it") from None
    datasets = map(shipped.dataset, shipped.experiments)
    return {*shipped.experiments, *datasets, *shipped.reports, *shipped.comparisons}


def command(arguments: Sequence[str], folder: Path) -> list[str]:
    """The command line of snakemake; what the user gives himself is not given again.

    folder: as workflow_folder says. Outputs lie in the current folder, or where --directory says.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    own: list[str] = []
    if not given & {"-s", "--snakefile"}:
        own += ["--snakefile", str(folder / "workflow" / "Snakefile")]
    if not given & {"--workflow-profile"} and not Path("profiles/default").is_dir():
        own += ["--workflow-profile", str(folder / "profiles" / "default")]
    if not given & {"-c", "--cores", "-j", "--jobs", "-n", "--dry-run", "--dryrun", "--profile", "-e", "--executor"}:
        own += ["--cores", "all"]
    return [sys.executable, "-m", "snakemake", *own, *arguments]


def main(arguments: Sequence[str]) -> int:
    """The exit code of snakemake. Raises UserError if there is nothing to run, or no snakemake."""
    if importlib.util.find_spec("snakemake") is None:
        raise UserError("snakemake is not installed; pip install snakemake")
    given = any(argument.partition("=")[0] in ("--configfile", "--configfiles") for argument in arguments)
    if not (given or {"-h", "--help", "--version"} & {*arguments} or Path("config.yaml").exists()):
        raise UserError("no config.yaml here; give the file that `diffdistill init` wrote: run --configfile mine.yaml")
    return subprocess.run(command(arguments, workflow_folder())).returncode
