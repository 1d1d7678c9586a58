"""Folders of pictures that a user might have."""

from pathlib import Path

import numpy as np
from PIL import Image


def noise(folder: Path, *classes: str, each: int = 6, side: int = 8, first: int = 0) -> Path:
    """Grey pictures of noise, `each` per class; a class name may have '/' in it."""
    random = np.random.default_rng([first, len(classes)])
    for one in classes:
        for number in range(first, first + each):
            path = folder / one / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (side, side), dtype=np.uint8)).save(path)
    return folder
