"""How long a stage takes until its first useful instruction, against the import of torch alone."""

import sys

from benchmarks.measuring import PAIRS, Row, in_turn, run

NETWORK = (
    "from diffdistill.config import UViTModel; from diffdistill.diffusion import networks; "
    "model = UViTModel(patch_size=4, embed_dim=96, depth=4, num_heads=4); "
    "networks.build(model, networks.Sizes(image_shape=(1, 8, 8), labels=10))"
)
WAYS = {
    "train, its network built": f"from diffdistill.stages import train; {NETWORK}",
    "fid, its network built": f"from diffdistill.stages import fid; {NETWORK}",
    "evaluate": "from diffdistill.stages import evaluate",
}


def against_torch(script: str, toy: bool) -> list[float]:
    """Seconds of the script divided by those of the import."""
    pairs = in_turn(
        lambda: run([sys.executable, "-c", "import torch"]),
        lambda: run([sys.executable, "-c", script]),
        1 if toy else PAIRS,
        warm_up=not toy,
    )
    return [ours / torch for torch, ours in pairs]


def rows(toy: bool = False) -> list[Row]:
    ways = dict(list(WAYS.items())[:1]) if toy else WAYS
    return [
        Row(f"start of stage {name}", 'python -c "import torch"', 1.5, against_torch(script, toy), at_most=True)
        for name, script in ways.items()
    ]
