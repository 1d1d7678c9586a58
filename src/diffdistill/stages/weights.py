"""Reads the slice that passes an iteration; writes one set of EMA weights of that iteration."""

from diffdistill.config import stages
from diffdistill.diffusion import state_files
from diffdistill.runtime.program import Job


def main(job: Job[stages.Weights]) -> None:
    settings = job.settings
    metadata = {"step": str(settings.step), "ema_decay": str(settings.ema_decay)}
    state_files.write_weights(job.output("weights"), job.input("state"), settings.name, metadata)
