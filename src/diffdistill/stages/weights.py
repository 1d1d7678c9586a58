"""Reads the slice that passed an iteration; writes one average of the weights at that iteration."""

import json
import sys
from collections.abc import Sequence

from diffdistill.diffusion import weights
from diffdistill.errors import UserError
from diffdistill.runtime import program, tensor_files


def stage(job: program.Job) -> None:
    name, source = job.config["name"], job.input("state")
    prefix = f"snapshot.{name}."
    tensors, metadata = tensor_files.load(source, lambda name: name.startswith(prefix))
    if not tensors:
        raise UserError(f"{source}: no averaged weights {name} in it; fid.every must divide the iteration")
    shape = weights.Shape(**json.loads(metadata.pop("shape")))
    metadata |= {"step": str(job.config["step"]), "ema_decay": str(job.config["ema_decay"])}
    weights.save(job.output("weights"), {n.removeprefix(prefix): t for n, t in tensors.items()}, shape, metadata)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
