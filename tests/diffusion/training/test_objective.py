"""What is minimised: the loss of each image, weighted or not."""

import math

import pytest
import torch

from diffdistill.diffusion import training
from diffdistill.diffusion.schedule import VPSchedule
from tests.diffusion.models import IMAGES, LABELS, MODELS, RECIPE, busy

SCHEDULE = VPSchedule()


@pytest.mark.parametrize("kind", MODELS)
def test_the_weight_multiplies_the_loss_of_every_image(kind: str) -> None:
    network, t = busy(MODELS[kind]), torch.tensor([0.02, 0.1, 0.5])
    x0, noise, y = IMAGES[:3], IMAGES[3:6], LABELS[:3]
    plain, weighted = (
        training.denoising(RECIPE.changed(loss_weight=name), schedule=SCHEDULE, prediction="noise")(
            network, x0, t, noise, y, 0
        )
        for name in ("none", "min_snr")
    )
    snr = [math.exp(2 * float(SCHEDULE.half_logsnr(one))) for one in t]
    assert (weighted / plain).tolist() == pytest.approx([min(one, 5) / one for one in snr], rel=1e-4)
