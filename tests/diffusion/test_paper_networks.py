"""The paper's two networks at full size, as config.yaml builds them: one training step and one drawn image of each."""

from pathlib import Path

import pytest
import torch
import yaml

from diffdistill import config
from diffdistill.diffusion import sampling, training
from diffdistill.diffusion.loss import noise_prediction_loss
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.weights import Shape

EXPERIMENTS = config.parse(yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "classes", "layers", "parameters"),
    [("cifar100", 32, 100, 13, 44.3), ("tinyimagenet", 64, 200, 17, 130.3)],
)
def test_one_step_and_one_image(name: str, size: int, classes: int, layers: int, parameters: float) -> None:
    experiment = EXPERIMENTS.experiment(name)
    assert experiment.model.depth + 1 == layers and experiment.train.batch_size == 1024
    shape = Shape(size, 3, classes, **experiment.model.model_dump())
    network = training.initialise(shape.build, experiment.train.seed)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == parameters
    before = network.decoder_pred.weight.detach().clone()
    optimiser = torch.optim.AdamW(
        network.parameters(), experiment.train.learning_rate, betas=experiment.train.betas, weight_decay=0.03
    )
    draws = torch.Generator().manual_seed(0)
    x0 = torch.rand(2, 3, size, size, generator=draws) * 2 - 1
    noise = torch.randn(x0.shape, generator=draws)
    labels = torch.tensor([0, classes - 1])
    loss = noise_prediction_loss(network, VPSchedule(), x0, torch.tensor([0.2, 0.8]), noise, labels)
    assert torch.isfinite(loss).all() and 0.5 < float(loss.mean().detach()) < 2  # of noise of variance 1
    loss.mean().backward()
    optimiser.step()
    assert not torch.equal(before, network.decoder_pred.weight)
    solver = {**experiment.sample.solver.model_dump(), "steps": 3}
    images, drawn = sampling.draw(
        network.eval(), shape, solver, seed=0, first=classes - 1, count=1, device=torch.device("cpu")
    )
    assert images.shape == (1, 3, size, size) and images.dtype == torch.uint8 and drawn.tolist() == [classes - 1]
    assert images.unique().numel() > 10
