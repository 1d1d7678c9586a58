from typing import Literal

from diffdistill.config.fields import Block, PositiveFloat, PositiveInt


class UViTModel(Block):
    kind: Literal["uvit"] = "uvit"
    patch_size: PositiveInt
    embed_dim: PositiveInt
    depth: PositiveInt
    num_heads: PositiveInt
    mlp_ratio: PositiveFloat = 4.0


class UNetModel(Block):
    kind: Literal["unet"]


Model = UViTModel | UNetModel
