"""Tiny models, recipes and images for tests of training and sampling."""

from typing import Any

import torch

from diffdistill import config
from diffdistill.diffusion import training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace

UVIT = config.UViTModel(patch_size=4, embed_dim=16, depth=2, num_heads=2)
UNET = config.UNetModel(kind="unet", channels=8, multipliers=(1, 2), blocks=1, num_heads=2)
MODELS = {"uvit": UVIT, "unet": UNET}
CLASSES = LabelSpace(num_classes=3)
COUNTS = ((6, 4), (5, 5), (9, 1))
"""Train images per sub-class of three classes."""
IMAGES = torch.linspace(-1, 1, 30 * 64).reshape(30, 1, 8, 8)
LABELS = torch.arange(30) % 3
RECIPE = config.Recipe(
    iterations=20, batch_size=8, learning_rate=1e-3, warmup_iterations=4, decay="linear", betas=(0.99, 0.999),
    ema_decays=(0.999,), seed=5, log_every=5,
)  # fmt: skip


def denoiser(
    model: config.UViTModel | config.UNetModel = UVIT,
    labels: LabelSpace = CLASSES,
    *,
    seed: int = 0,
    image_shape: tuple[int, int, int] = (1, 8, 8),
    augment_dim: int = 0,
) -> NetworkDenoiser:
    """A new denoiser of 8 x 8 grey images."""

    def build() -> NetworkDenoiser:
        return NetworkDenoiser(model, labels=labels, image_shape=image_shape, augment_dim=augment_dim)

    return training.initialise(build, seed)


def busy(
    model: config.UViTModel | config.UNetModel = UVIT, labels: LabelSpace = CLASSES, **more: Any
) -> NetworkDenoiser:
    """One whose output depends on all of its inputs: a new U-Net's is 0."""
    made = denoiser(model, labels, **more)
    with torch.no_grad():
        for number, parameter in enumerate(made.network.parameters()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return made.eval()


def fresh(
    recipe: config.Recipe = RECIPE,
    model: config.UViTModel | config.UNetModel = UVIT,
    labels: LabelSpace = CLASSES,
    *,
    augment_dim: int = 0,
) -> training.State:
    """Iteration 0."""
    return training.State.start(denoiser(model, labels, seed=recipe.seed, augment_dim=augment_dim), recipe)


def train(state: training.State, recipe: config.Recipe = RECIPE, *, until: int) -> None:
    """On the images of this module, with snapshots every five iterations."""
    training.train(state, IMAGES, LABELS, recipe, until=until, snapshot_every=5)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether tensors and their names are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
