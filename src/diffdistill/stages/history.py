"""Reads the end states of all slices; writes loss.csv: one row every few iterations, and one per slice end."""

import pandas as pd

from diffdistill.config import stages
from diffdistill.diffusion import state_files
from diffdistill.runtime import files
from diffdistill.runtime.program import Job


def main(job: Job[stages.History]) -> None:
    rows = [state_files.read_history(path) for path in job.all_inputs("states")]
    table = pd.concat([pd.DataFrame(part, columns=list(state_files.HISTORY)) for part in rows])
    table = table.astype({"iteration": int}).drop_duplicates("iteration", keep="last").sort_values("iteration")
    files.write_text(job.output("table"), table.to_csv(index=False, float_format="%.8g"))
