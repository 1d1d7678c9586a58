"""Whether the package that runs is the one beside the workflow, and the image that jobs run in is there."""

from pathlib import Path

import diffdistill
from diffdistill.errors import UserError


def refuse_two_folders(root: Path, package: Path = Path(diffdistill.__file__).parent) -> None:
    """Raises UserError with both paths if the workflow's folder has another copy of the package than the one that runs.

    A checkout that was copied with its environment would run the first one's code. root: the folder of the workflow.
    """
    own = root / "src" / "diffdistill"
    if own.is_dir() and own.resolve() != package.resolve():
        raise UserError(
            f"the workflow is {root.resolve()}, but the package that runs is {package.resolve()}; "
            "run `make install` in the folder of the workflow and use its .venv/bin/snakemake"
        )


def require_image(image: str | None) -> None:
    """Raises UserError for an image that is neither an address nor there, seen from where the workflow runs."""
    if image is not None and "://" not in image and not Path(image).exists():
        raise UserError(f"container: {image}: no such file; build it as docs/environments.md says, or set it to null")
