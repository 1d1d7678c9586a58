"""The network of a denoiser and what it predicts: one block per kind of network, told apart by `kind`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter, model_validator

from diffdistill.config.fields import Block, PositiveFloat, PositiveInt, short

Prediction = Literal["noise", "x0", "v"]
"""What the network's output stands for; v = alpha noise - sigma x0."""


class ModelBlock(Block):
    """The network of the diffusion model; image size, channels and classes come from the data."""

    switches: ClassVar[frozenset[str]] = frozenset()
    """Keys that change nothing at their defaults."""
    hidden_matrices: ClassVar[bool] = False
    """Whether the network has matrices that Muon can step."""

    kind: str
    """Which network; uvit where it is absent."""
    prediction: Prediction = "noise"
    """What the network's output stands for: the noise, the image, or v = alpha noise - sigma x0."""

    def fingerprint(self) -> dict[str, Any]:
        """All values; switches at their defaults are left out, so that states from before they were known go on."""
        return self.model_dump(mode="json", exclude=self.at_defaults(self.switches))


class UViTModel(ModelBlock):
    """U-ViT."""

    switches = frozenset({"conditioning"})
    hidden_matrices = True

    kind: Literal["uvit"] = "uvit"
    patch_size: PositiveInt
    """Side in pixels of the square patches that become tokens; it divides the images' side."""
    embed_dim: PositiveInt
    """Width of a token; a multiple of num_heads."""
    depth: PositiveInt
    """Transformer blocks, half of them on each side of one more in the middle; even."""
    num_heads: PositiveInt
    """Heads of the self-attention in each block."""
    mlp_ratio: PositiveFloat = 4.0
    """Width of the hidden layer in each block, as a multiple of embed_dim."""
    conditioning: Literal["tokens", "added", "adaptive"] = "tokens"
    """How time and label enter. tokens: as published; added: an embedding of the label is also added to every patch;
    adaptive: time and label also scale and shift the tokens in every block."""

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        if self.depth % 2:
            raise ValueError(f"depth {self.depth} is odd; long skip connections join two equal halves")
        return self


class UNetModel(ModelBlock):
    """Convolutional U-Net."""

    kind: Literal["unet"]
    patch_size: PositiveInt = 1
    """Side of the square patches of pixels whose values become the channels of one position."""
    channels: PositiveInt = 32
    """Channels at the first level."""
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 2)
    """Channels per level as multiples of `channels`; each level has half the side of the one before."""
    blocks: PositiveInt = 2
    """Residual blocks per level, on the way down and on the way up."""
    num_heads: PositiveInt = 4
    """Heads of the self-attention at the lowest resolution."""

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        lowest = self.channels * self.multipliers[-1]
        if lowest % self.num_heads:
            raise ValueError(
                f"the lowest level has {lowest} channels (channels {self.channels} times multiplier "
                f"{self.multipliers[-1]}), not a multiple of num_heads {self.num_heads}"
            )
        return self


KINDS: dict[str, type[ModelBlock]] = {"uvit": UViTModel, "unet": UNetModel}


def _of_kind(values: Any) -> Any:
    """Validate as the block of its kind, so that errors name plain keys such as model.depth."""
    if isinstance(values, Block):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a block such as {{kind: unet}}, found {short(values)}")
    kind = values.get("kind", "uvit")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind {short(kind)}; known: {', '.join(KINDS)}")
    # null removes a key: so another file can replace one kind of network by another
    return KINDS[kind].model_validate({key: value for key, value in values.items() if value is not None})


Model = Annotated[SerializeAsAny[ModelBlock], BeforeValidator(_of_kind)]
"""`kind: uvit` where it is absent."""


def parse_model(values: Mapping[str, Any]) -> ModelBlock:
    """The block of a model from plain values. Raises pydantic's ValidationError, a ValueError."""
    return _ADAPTER.validate_python(values)


_ADAPTER: TypeAdapter[ModelBlock] = TypeAdapter(Model)
