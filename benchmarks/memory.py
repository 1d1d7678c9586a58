"""Memory of sampling: it must not grow with the number of images."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import PAIRS, Row, run
from diffdistill.diffusion import training, weights

SCRIPT = (
    "import resource, sys; from diffdistill.stages import sample; code = sample.main(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
)


def rows() -> list[Row]:
    shape = weights.Shape(8, 1, 3, 4, 32, 2, 2, 4.0)
    metadata = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "step": "0"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights.save(folder / "w.safetensors", training.initialise(shape.build, 0).state_dict(), shape, metadata)

        def peak(images: int) -> int:
            outputs = [f"samples={folder / 's.safetensors'}", f"account={folder / 's.json'}"]
            settings = json.dumps({"images": images, "solver": {"steps": 1}})
            command = ["--config", settings, "--in", f"weights={folder / 'w.safetensors'}", "--out", *outputs]
            return int(run([sys.executable, "-c", SCRIPT, *command, "--threads", "2"]).splitlines()[-1])

        ratios = [peak(20_000) / peak(1_000) for _ in range(PAIRS)]
    return [Row("memory of sampling 20,000 images", "1,000 images", 1.1, ratios, at_most=True)]
