"""Reads the end states of all slices; writes loss.csv, one row every few iterations, the last slice's end included."""

import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.diffusion.training import HISTORY
from diffdistill.runtime import files, program, tensor_files


def stage(job: program.Job) -> None:
    rows = [tensor_files.load(path, lambda name: name == "history")[0]["history"] for path in job.inputs["states"]]
    table = pd.concat([pd.DataFrame(part.numpy(), columns=list(HISTORY)) for part in rows])
    table = table.astype({"iteration": int}).drop_duplicates("iteration", keep="last").sort_values("iteration")
    files.write_text(job.output("table"), table.to_csv(index=False, float_format="%.8g"))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
