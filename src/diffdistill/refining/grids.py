"""Several images stored as one (Kim et al. 2022, IDC, arXiv 2205.14959): a grid of tiles, enlarged when it is used."""

from torch import Tensor
from torch.nn import functional as F


def enlarged(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N factor^2, C, H, W): the tiles of each image row by row, bilinearly scaled to the whole size.

    The uniform multi-formation of section 4.2. Raises ValueError if the sides do not divide by the factor.
    """
    if factor == 1:
        return x
    N, C, H, W = x.shape
    if H % factor or W % factor:
        raise ValueError(f"images of {H}x{W} pixels cannot be cut into {factor}x{factor} equal tiles")
    tiles = x.reshape(N, C, factor, H // factor, factor, W // factor)  # (N, C, row, h, column, w)
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(-1, C, H // factor, W // factor)
    return F.interpolate(tiles, size=(H, W), mode="bilinear", align_corners=False)


def tiled(x: Tensor, factor: int) -> Tensor:
    """(N factor^2, C, H, W) -> (N, C, H, W): the images scaled down with antialiasing and put into grids.

    Raises ValueError as `enlarged` does.
    """
    if factor == 1:
        return x
    C, H, W = x.shape[1:]
    if H % factor or W % factor:
        raise ValueError(f"images of {H}x{W} pixels cannot be cut into {factor}x{factor} equal tiles")
    h, w = H // factor, W // factor
    small = F.interpolate(x, size=(h, w), mode="bilinear", align_corners=False, antialias=True)
    grid = small.reshape(-1, factor, factor, C, h, w).permute(0, 3, 1, 4, 2, 5)  # (N, C, row, h, column, w)
    return grid.reshape(-1, C, H, W)
