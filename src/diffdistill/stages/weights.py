"""Reads the slice that passes an iteration; writes one set of EMA weights of that iteration."""

from diffdistill.config import stages
from diffdistill.diffusion import checkpoints, training
from diffdistill.runtime.program import Job


def main(job: Job[stages.Weights]) -> None:
    settings = job.settings
    tensors, metadata = training.read_snapshot(job.input("state"), settings.name)
    metadata |= {"step": str(settings.step), "ema_decay": str(settings.ema_decay)}
    checkpoints.save(job.output("weights"), tensors, metadata.pop(checkpoints.DENOISER), metadata)
