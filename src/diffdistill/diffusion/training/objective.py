"""What training minimises."""

from collections.abc import Callable

from torch import Tensor

from diffdistill.config import Prediction, Recipe
from diffdistill.diffusion.loss import Output, denoising_loss, min_snr_weight
from diffdistill.diffusion.schedule import VPSchedule

Objective = Callable[[Output, Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(network's output, x0 (B, C, H, W), t (B,) in [0, 1], noise like x0, y (B,), iteration) -> losses (B,)"""


def denoising(recipe: Recipe, *, schedule: VPSchedule, prediction: Prediction) -> Objective:
    """The squared error of the network's output, weighted as the recipe says."""

    def losses(output: Output, x0: Tensor, t: Tensor, noise: Tensor, y: Tensor, iteration: int) -> Tensor:
        error = denoising_loss(output, schedule, x0, t, noise, y, prediction=prediction)
        return error * min_snr_weight(schedule, t, prediction) if recipe.loss_weight == "min_snr" else error

    return losses
