"""Loss and gradient of one training step."""

import functools
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from diffdistill.config import Recipe
from diffdistill.data.image_files import from_bytes
from diffdistill.diffusion import augmentation
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.training.batch import Batch
from diffdistill.diffusion.training.execution import Execution
from diffdistill.diffusion.training.gradients import Gradients
from diffdistill.diffusion.training.objective import Objective
from diffdistill.runtime.compiling import Fallback


class Step:
    """Called with a batch, it computes this process's part of the mean loss, and of its gradient."""

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        images: Tensor,
        labels: Tensor,
        recipe: Recipe,
        objective: Objective,
        execution: Execution,
    ) -> None:
        """images: (N, C, H, W) uint8, or float32 in [-1, 1]; labels: (N,) int64, both on the network's device.

        Raises ValueError if labels are dropped and the denoiser has no null label.
        """
        self._images, self._labels, self._recipe, self._objective = images, labels, recipe, objective
        self._null = denoiser.labels.null if recipe.label_dropout else 0
        self._execution, self._pieces = execution, execution.pieces(recipe.batch_size)
        network = denoiser.network
        self.gradients = Gradients(network, execution.processes)
        plain = functools.partial(self._backward, network)
        self._run: Callable[[Batch], Tensor] = plain
        if execution.compile:
            compiled = functools.cache(lambda: cast(nn.Module, torch.compile(network)))

            def fast(batch: Batch) -> Tensor:
                return self._backward(compiled(), batch)

            self._run = Fallback(fast, plain)

    def __call__(self, batch: Batch) -> Tensor:
        """The loss, a scalar; the gradient is in the `grad` of the parameters."""
        return self._run(batch)

    def _backward(self, network: nn.Module, batch: Batch) -> Tensor:
        self.gradients.clear()
        device, precision = self._images.device, self._execution.precision
        batch = batch.each(lambda tensor: tensor.to(device))  # at once: a copy waits for the work before it
        loss = torch.zeros((), device=device)
        for piece in self._pieces:
            x0, y, output = self._inputs(network, batch, piece)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                losses = self._objective(output, x0, batch.t[piece], batch.noise[piece], y, batch.iteration)
            part = losses.sum() / self._recipe.batch_size
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
        return loss

    def _inputs(self, network: nn.Module, batch: Batch, piece: slice) -> tuple[Tensor, Tensor, Callable[..., Tensor]]:
        """Clean images (B, C, H, W) in [-1, 1], labels (B,), and the network conditioned on the augmentation."""
        indices = batch.indices[piece]
        x0, y = self._images[indices], self._labels[indices]
        x0 = from_bytes(x0) if x0.dtype == torch.uint8 else x0
        if batch.mirrored is not None:
            x0 = torch.where(batch.mirrored[piece, None, None, None], x0.flip(3), x0)
        if batch.unlabelled is not None:
            y = torch.where(batch.unlabelled[piece], self._null, y)
        if batch.augment is None:
            return x0, y, network
        recipe = self._recipe
        x0, done = augmentation.of_images(x0, recipe.families, batch.augment[piece], recipe.augment_probability)
        return x0, y, functools.partial(network, augmentation=done)
