"""Training a denoiser: a loop in which every random number follows from (seed, iteration, row of the batch).

All that it remembers is in the state, so a run that stops and resumes equals one that did not; and any number of
processes, each with its part of the batch in any number of pieces, takes the same steps.
"""

from diffdistill.diffusion.training.batch import Batch
from diffdistill.diffusion.training.execution import Execution
from diffdistill.diffusion.training.loop import NonFiniteError, learning_rate_at, train
from diffdistill.diffusion.training.objective import Objective, denoising
from diffdistill.diffusion.training.origin import SETTINGS, differences, origin_metadata, settings_of
from diffdistill.diffusion.training.state import State, initialise, read_metadata

__all__ = [
    "SETTINGS",
    "Batch",
    "Execution",
    "NonFiniteError",
    "Objective",
    "State",
    "denoising",
    "differences",
    "initialise",
    "learning_rate_at",
    "origin_metadata",
    "read_metadata",
    "settings_of",
    "train",
]
