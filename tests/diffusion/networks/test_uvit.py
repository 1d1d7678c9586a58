"""The network against its formula, written once more in NumPy: parity for whoever lacks recorded outputs."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from diffdistill.diffusion.networks import uvit
from diffdistill.diffusion.networks.uvit import UViT

Array = np.ndarray[Any, np.dtype[np.float64]]
DIM, HEADS, PATCH, SIDE, CHANNELS = 8, 2, 2, 2, 3


def in_numpy(w: dict[str, Array], x: Array, t: float, y: int | None) -> Array:
    """The noise (C, H, W) of one image: loops in place of reshapes, so that a swapped axis shows."""

    def linear(name: str, v: Array) -> Array:
        return np.asarray(v @ w[f"{name}.weight"].T + w.get(f"{name}.bias", np.zeros(1)))

    def norm(name: str, v: Array) -> Array:
        centred = v - v.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def attention(name: str, v: Array) -> Array:
        qkv, d = linear(f"{name}.qkv", v), DIM // HEADS
        out = np.zeros_like(v)
        for head in range(HEADS):
            q, k, u = (qkv[:, part * DIM + head * d : part * DIM + (head + 1) * d] for part in range(3))
            scores = np.exp(q @ k.T / math.sqrt(d))
            out[:, head * d : (head + 1) * d] = scores / scores.sum(1, keepdims=True) @ u
        return linear(f"{name}.proj", out)

    def block(name: str, v: Array) -> Array:
        v = v + attention(f"{name}.attn", norm(f"{name}.norm1", v))
        hidden = linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", v))
        gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        return v + linear(f"{name}.mlp.fc2", gelu)

    angles = t * 999 * np.exp(-math.log(10000) * np.arange(DIM // 2) / (DIM // 2))
    time = np.concatenate([np.cos(angles), np.sin(angles)])
    if "time_embed.0.weight" in w:
        hidden = linear("time_embed.0", time)
        time = linear("time_embed.2", hidden / (1 + np.exp(-hidden)))
    tokens = [time] if y is None else [w["label_emb.weight"][y], time]
    for row in range(SIDE):
        for column in range(SIDE):
            patch = x[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            tokens.append((w["patch_embed.proj.weight"] * patch).sum((1, 2, 3)) + w["patch_embed.proj.bias"])
    first = block("in_blocks.0", np.stack(tokens) + w["pos_embed"][0])
    second = block("in_blocks.1", first)
    h = block("mid_block", second)
    for i, skip in enumerate((second, first)):
        h = block(f"out_blocks.{i}", linear(f"out_blocks.{i}.skip_linear", np.concatenate([h, skip], 1)))
    pixels = linear("decoder_pred", norm("norm", h))[len(tokens) - SIDE**2 :]
    image = np.zeros((CHANNELS, SIDE * PATCH + 2, SIDE * PATCH + 2))  # one pixel of padding all round
    for i, values in enumerate(pixels):
        row, column = divmod(i, SIDE)
        for p1 in range(PATCH):
            for p2 in range(PATCH):
                at = (p1 * PATCH + p2) * CHANNELS
                image[:, row * PATCH + p1 + 1, column * PATCH + p2 + 1] = values[at : at + CHANNELS]
    out = np.zeros_like(x)
    for row in range(SIDE * PATCH):
        for column in range(SIDE * PATCH):
            window = image[:, row : row + 3, column : column + 3]
            out[:, row, column] = (w["final_layer.weight"] * window).sum((1, 2, 3)) + w["final_layer.bias"]
    return out


def tiny(**changes: Any) -> UViT:
    return UViT(**{"img_size": 4, "patch_size": 2, "in_chans": 3, "embed_dim": 8, "depth": 4, "num_heads": 2} | changes)


@pytest.mark.parametrize(
    "options", [{}, {"num_classes": 5}, {"num_classes": 5, "mlp_time_embed": True, "qkv_bias": True}]
)
def test_the_formula(options: dict[str, Any]) -> None:
    network, draws = tiny(**options).double(), np.random.default_rng(0)
    weights = {name: draws.normal(0, 0.3, value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    x, t = draws.normal(size=(3, 3, 4, 4)), np.array([0.0, 0.37, 1.0])
    y = [4, 0, 2] if "num_classes" in options else [None] * 3
    labels = torch.tensor(y) if "num_classes" in options else None
    with torch.no_grad():
        found = network(torch.from_numpy(x), torch.from_numpy(t), labels).numpy()
    expected = np.stack([in_numpy(weights, x[i], float(t[i]), y[i]) for i in range(3)])
    assert np.linalg.norm(found - expected) < 1e-10 * np.linalg.norm(expected)


def test_first_weights() -> None:
    torch.manual_seed(0)
    network = tiny(embed_dim=64, num_classes=5)
    for name, value in network.state_dict().items():
        if name == "pos_embed" or name.endswith(("qkv.weight", "proj.weight", "fc1.weight", "skip_linear.weight")):
            assert name.startswith("patch_embed") or float(value.std()) == pytest.approx(0.02, rel=0.15), name
        if name.endswith(("attn.proj.bias", "fc1.bias", "fc2.bias", "skip_linear.bias")):
            assert not value.any(), name


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [({"img_size": 5}, "5.*2"), ({"num_heads": 3}, "8.*3"), ({"depth": 3}, "3 is odd")],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, int], numbers: str) -> None:
    with pytest.raises(ValueError, match=numbers):
        tiny(**changes)


@pytest.mark.parametrize(
    ("x", "t", "y", "message"),
    [
        ((2, 3, 8, 8), 2, 2, r"\(B, 3, 4, 4\), found \(2, 3, 8, 8\)"),
        ((2, 1, 4, 4), 2, 2, r"\(B, 3, 4, 4\), found \(2, 1, 4, 4\)"),
        ((2, 3, 4, 4), 3, 2, r"t must be \(2,\) for 2 images, found \(3,\)"),
        ((2, 3, 4, 4), 1, 2, r"t must be \(2,\) for 2 images, found \(1,\)"),
        ((2, 3, 4, 4), 2, 1, r"y must be \(2,\) for 2 images, found \(1,\)"),
        ((2, 3, 4, 4), 2, None, "labels must be given"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: tuple[int, ...], t: int, y: int | None, message: str) -> None:
    labels = None if y is None else torch.zeros(y, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        tiny(num_classes=5)(torch.zeros(x), torch.zeros(t), labels)


def test_layers_are_those_of_timm() -> None:
    from timm import layers

    torch.manual_seed(0)
    x, h = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 12)
    for ours, theirs, given in (
        (uvit.PatchEmbed(4, 3, 12), layers.PatchEmbed(8, 4, 3, 12), x),
        (uvit.Mlp(12, 48), layers.Mlp(12, 48), h),
    ):
        theirs.load_state_dict(ours.state_dict(), strict=True)
        assert torch.equal(ours(given), theirs(given))


@pytest.mark.parametrize(("conditioning", "more"), [("added", ["label_added"]), ("adaptive", ["modulation"])])
def test_more_conditioning_starts_as_the_published_network(conditioning: str, more: list[str]) -> None:
    published, network = tiny(num_classes=5), tiny(num_classes=5, conditioning=conditioning)
    missing = network.load_state_dict(published.state_dict(), strict=False)
    assert not missing.unexpected_keys and missing.missing_keys
    assert all(any(name in key for name in more) for key in missing.missing_keys)
    x, t = torch.randn(3, 3, 4, 4), torch.tensor([0.1, 0.5, 0.9])
    labels = torch.tensor([4, 0, 2])
    with torch.no_grad():
        torch.testing.assert_close(network(x, t, labels), published(x, t, labels), rtol=0, atol=1e-6)
        for key in missing.missing_keys:
            network.state_dict()[key].normal_(generator=torch.Generator().manual_seed(0))
        assert not torch.allclose(network(x, t, labels), published(x, t, labels))


def test_adaptive_blocks_against_their_formula() -> None:
    """x + (1 + g) f((1 + s) norm(x) + b) for attention and MLP, with s, b and g linear in SiLU of the condition."""
    block = uvit.Block(8, 2, 4.0, qkv_bias=False, skip=False, adaptive=True)
    assert block.modulation is not None
    nn.init.normal_(block.modulation.weight)
    x, condition = torch.randn(3, 5, 8), torch.randn(3, 8)
    with torch.no_grad():
        shifts = block.modulation(condition * torch.sigmoid(condition))
        s1, b1, g1, s2, b2, g2 = (shifts[:, None, 8 * part : 8 * (part + 1)] for part in range(6))
        h = x + (1 + g1) * block.attn((1 + s1) * block.norm1(x) + b1)
        expected = h + (1 + g2) * block.mlp((1 + s2) * block.norm2(h) + b2)
        torch.testing.assert_close(block(x, None, condition), expected)
