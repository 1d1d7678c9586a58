"""Commands that stand in for conda and apptainer, and do what Snakemake asks of them with the tests' interpreter."""

import json
import sys
from pathlib import Path

APPTAINER = """#!/bin/sh
if [ "$1" = --version ]; then echo apptainer version 1.4.0; exit; fi
echo "$*" >> {calls}
for command; do :; done  # the last word; the job sees no PATH but the image's
PATH={image}:/usr/bin:/bin exec bash -c "$command"
"""
CONDA = """#!/bin/sh
case "$*" in
  --version) echo conda 26.1.0 ;;
  "info --json") echo '{info}' ;;
  "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  clean*) ;;
  "env create"*)
    echo "$*" >> {calls}
    for prefix; do :; done
    mkdir -p "$prefix/bin" && cp {image}/python "$prefix/bin/python" ;;
  *) echo "conda $*" >&2; exit 1 ;;
esac
"""
ACTIVATE = 'export PATH="$1/bin:$PATH"\n'


def pretend(folder: Path) -> str:
    """Write both into folder/bin, and return a PATH that finds them and no other interpreter of ours.

    folder/image/python is the interpreter of images and environments; folder/calls has a line for each of them.
    """
    for name in ("bin", "image"):
        (folder / name).mkdir()
    info = json.dumps({"conda_prefix": str(folder), "conda_version": "26.1.0", "platform": "linux-64"})
    texts = {
        "image/python": f'#!/bin/sh\nexport ENVIRONMENT="$0"\nexec {sys.executable} "$@"\n',
        "bin/apptainer": APPTAINER.format(calls=folder / "calls", image=folder / "image"),
        "bin/conda": CONDA.format(info=info, calls=folder / "calls", image=folder / "image"),
        "bin/activate": ACTIVATE,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "calls").touch()
    return f"{folder / 'bin'}:/usr/bin:/bin"
