"""Reads the slice that passed an iteration; writes the averaged weights of that iteration."""

import json
import sys
from collections.abc import Sequence

from diffdistill.diffusion import weights
from diffdistill.errors import UserError
from diffdistill.runtime import program
from diffdistill.runtime import tensors as tensor_files


def stage(job: program.Job) -> None:
    step, source = job.config["step"], job.input("state")
    prefix = f"snapshot.{step}."
    tensors, metadata = tensor_files.load(source, lambda name: name.startswith(prefix))
    if not tensors:
        raise UserError(f"{source}: no averaged weights of iteration {step} in it; fid.every must divide it")
    shape = weights.Shape(**json.loads(metadata.pop("shape")))
    metadata |= {"step": str(step)}
    weights.save(job.output("weights"), {n.removeprefix(prefix): t for n, t in tensors.items()}, shape, metadata)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
