"""From images to the values that are refined, and from the stored images to the set that is trained on."""

import torch
from torch import Tensor

from diffdistill.data import image_files, selection
from diffdistill.refining import grids
from diffdistill.runtime.seeds import image_noise

PIXELS_OF = 2000
"""At most so many random images of a class are clustered."""


def modes(images: Tensor, seed: int) -> selection.Pick:
    """Picks the images nearest to the k-means centres of their class, in pixels; images: uint8 (N, C, H, W).

    Few images then cover their class, as DREAM's do (Liu et al. 2023, arXiv 2302.14416).
    """

    def pick(members: Tensor, label: int, count: int) -> Tensor:
        some = selection.randomly(seed)(members, label, min(PIXELS_OF, len(members)))
        pixels = images[some].flatten(1).float() / 255
        if count >= len(some):
            return some
        from sklearn.cluster import KMeans  # half a second that random images do not need

        found = KMeans(count, n_init=1, random_state=seed % 2**32).fit(pixels.numpy())
        free = torch.cdist(torch.from_numpy(found.cluster_centers_).float(), pixels)  # (count, N)
        nearest = []
        for row in free:  # two centres may have one nearest image: it is taken once
            nearest.append(int(row.argmin()))
            free[:, nearest[-1]] = torch.inf
        return some[nearest]

    return pick


def picks(how: str, images: Tensor, seed: int) -> selection.Pick:
    """`modes` or `random`."""
    return modes(images, seed) if how == "modes" else selection.randomly(seed)


def from_images(
    images: Tensor, labels: Tensor, num_classes: int, per_class: int, *, factor: int, pick: selection.Pick
) -> Tensor:
    """Stored images float32 (K, per_class, C, H, W) in 0..1, made of images that `pick` takes of each class.

    images: uint8 (N, C, H, W); labels: int64 (N,). Raises UserError if a class has fewer than per_class factor^2.
    """
    count = per_class * factor**2
    chosen = selection.per_class(labels, [count] * num_classes, pick)
    chosen = chosen[labels[chosen].sort(stable=True).indices]  # class by class
    return grids.tiled(images[chosen].float() / 255, factor).reshape(num_classes, per_class, *images.shape[1:])


def from_noise(num_classes: int, per_class: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Standard normal noise float32 (K, per_class, C, H, W); that of an image depends on its place and the seed."""
    noise = image_noise(seed, 0, num_classes * per_class, shape, purpose="refining start")
    return noise.reshape(num_classes, per_class, *shape)


def pixels_from_noise(noise: Tensor) -> Tensor:
    """Noise as images in 0..1: mean 1/2, four standard deviations over the whole range."""
    return (noise / 4 + 0.5).clamp(0, 1)


def train_set(stored: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (K n factor^2, C, H, W) and labels int64 of the stored images uint8 (K, n, C, H, W).

    The classes are in turn, so that a prefix is balanced.
    """
    whole = grids.enlarged(image_files.from_bytes(stored.flatten(0, 1)), factor)
    images = image_files.to_bytes(whole).reshape(len(stored), -1, *stored.shape[2:]).transpose(0, 1).flatten(0, 1)
    return images.contiguous(), torch.arange(len(stored)).repeat(len(images) // len(stored))
