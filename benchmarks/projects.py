"""A copy of the workflow in a folder of its own."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def copy(folder: Path) -> Path:
    """The files that a user gets, without any results."""
    for name in ("workflow", "resources", "profiles", "slurm", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "config.yaml", folder / "config.yaml")
    return folder
