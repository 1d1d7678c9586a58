"""The paper's two networks at full size, as config.yaml builds them: one training step and one drawn image of each."""

from pathlib import Path

import pytest
import torch
import yaml

from diffdistill import config
from diffdistill.diffusion import sampling, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.loss import denoising_loss
from diffdistill.diffusion.networks.uvit import UViT

EXPERIMENTS = config.parse(yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "classes", "layers", "parameters"),
    [("cifar100", 32, 100, 13, 44.3), ("tinyimagenet", 64, 200, 17, 130.3)],
)
def test_one_step_and_one_image(name: str, size: int, classes: int, layers: int, parameters: float) -> None:
    experiment = EXPERIMENTS.experiment(name)
    model, train, sample = experiment.model, experiment.train, experiment.sample
    assert isinstance(model, config.UViTModel) and train is not None and sample is not None
    assert model.depth + 1 == layers and train.batch_size == 1024
    space = LabelSpace(num_classes=classes)
    denoiser = training.initialise(
        lambda: NetworkDenoiser(model, labels=space, image_shape=(3, size, size)), train.seed
    )
    network = denoiser.network
    assert isinstance(network, UViT)
    assert round(denoiser.parameter_count / 1e6, 1) == parameters
    before = network.decoder_pred.weight.detach().clone()
    optimiser = torch.optim.AdamW(network.parameters(), train.learning_rate, betas=train.betas, weight_decay=0.03)
    draws = torch.Generator().manual_seed(0)
    x0 = torch.rand(2, 3, size, size, generator=draws) * 2 - 1
    noise = torch.randn(x0.shape, generator=draws)
    labels = torch.tensor([0, classes - 1])
    loss = denoising_loss(network, denoiser.schedule, x0, torch.tensor([0.2, 0.8]), noise, labels)
    assert torch.isfinite(loss).all() and 0.5 < float(loss.mean().detach()) < 2  # of noise of variance 1
    loss.mean().backward()
    optimiser.step()
    assert not torch.equal(before, network.decoder_pred.weight)
    images = sampling.sample(
        denoiser.eval(), sample.solver.changed(nfe=3), torch.tensor([classes - 1]), seed=0, first=classes - 1,
        device=torch.device("cpu"),
    )  # fmt: skip
    assert images.shape == (1, 3, size, size) and images.dtype == torch.uint8
    assert images.unique().numel() > 10
