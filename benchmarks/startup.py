"""How long a stage takes until its first useful instruction, against the import of torch alone."""

import sys

from benchmarks.measuring import Row, in_turn, run

NETWORK = "from diffdistill.diffusion.weights import Shape; Shape(8, 1, 10, 4, 96, 4, 4, 4.0).build()"
WAYS = {
    "train, its network built": f"from diffdistill.stages import train; {NETWORK}",
    "fid, its network built": f"from diffdistill.stages import fid; {NETWORK}",
    "evaluate": "from diffdistill.stages import evaluate",
}


def against_torch(script: str) -> list[float]:
    """Seconds of the script divided by those of the import."""
    pairs = in_turn(lambda: run([sys.executable, "-c", "import torch"]), lambda: run([sys.executable, "-c", script]))
    return [ours / torch for torch, ours in pairs]


def rows() -> list[Row]:
    return [
        Row(f"start of stage {name}", 'python -c "import torch"', 1.5, against_torch(script), at_most=True)
        for name, script in WAYS.items()
    ]
