"""Remove what the rules made: results, logs, and files below data/ that Snakemake recorded as outputs.

Pictures and archives that were brought by hand stay, and so do downloads below data/raw.
"""

import base64
import binascii
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path(".snakemake/metadata")


def recorded(records: Path) -> "Iterator[Path]":
    """The outputs of all jobs that ever ended here. A record is named by its output, in base64.

    Snakemake cuts long names into folders, which start with @.
    """
    for record in records.rglob("*"):
        if record.is_file():
            name = "".join(part.lstrip("@") for part in record.relative_to(records).parts)
            with suppress(binascii.Error, UnicodeError):  # a file that is no record
                yield Path(base64.urlsafe_b64decode(name).decode())


def main(root: Path = ROOT) -> None:
    """Remove them below this folder."""
    data = root / "data"
    for output in recorded(root / RECORDS):
        path = root / output
        if path.is_file() and data in path.parents and data / "raw" not in path.parents and ".." not in output.parts:
            path.unlink()
            for folder in path.parents:
                if folder in (data, root) or any(folder.iterdir()):
                    break
                folder.rmdir()
    for path in root.glob("results/*"):
        if path.name != "README.md":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for folder in ("logs", ".snakemake"):
        shutil.rmtree(root / folder, ignore_errors=True)
    if data.is_dir() and not any(data.iterdir()):
        data.rmdir()


if __name__ == "__main__":
    main()
