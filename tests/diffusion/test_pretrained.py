"""Start weights are taken whole, with every difference named, or refused."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill.diffusion import pretrained
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.networks.uvit import UViT
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests.diffusion.models import UNET, busy

CLASSES = ["ant", "bee", "cat"]


def network(num_classes: int | None = 3, seed: int = 0, **changes: Any) -> UViT:
    sizes = {"img_size": 8, "patch_size": 4, "in_chans": 1, "embed_dim": 16, "depth": 2, "num_heads": 2} | changes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UViT(**sizes, num_classes=num_classes)


def saved(path: Path, state: dict[str, Any]) -> Path:
    torch.save(state, path)
    return path


def state(num_classes: int | None = 3) -> dict[str, Tensor]:
    return dict(network(num_classes, seed=9).state_dict())


def recorded(path: Path, num_classes: int) -> tuple[dict[str, Tensor], UViT]:
    """A published network's state dict, and one of ours that it is to start."""
    tensors, metadata = tensor_files.load(path, lambda key: key.startswith("state."))
    config = json.loads(metadata["config"])
    sizes = {"patch_size": config["patch_size"], "embed_dim": config["embed_dim"], "depth": config["depth"]}
    ours = network(num_classes, in_chans=3, num_heads=4, **sizes)
    return {key.removeprefix("state."): value for key, value in tensors.items()}, ours


def test_weights_of_the_same_network(tmp_path: Path) -> None:
    ours, theirs = network(), state()
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items())
    assert (len(fitted.taken), fitted.dropped, fitted.made, fitted.stripped) == (len(theirs), [], [], "")


def test_weights_that_know_no_augmentation(tmp_path: Path) -> None:
    ours, fresh, theirs = network(augment_dim=3), network(augment_dim=3).state_dict(), state()
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    assert fitted.made == ["augment_embed.weight (16, 3)"] and len(fitted.taken) == len(theirs)
    assert torch.equal(ours.state_dict()["augment_embed.weight"], fresh["augment_embed.weight"])
    assert torch.equal(ours.state_dict()["norm.weight"], theirs["norm.weight"])


def test_weights_without_classes(tmp_path: Path) -> None:
    ours, fresh, theirs = network(), network().state_dict(), state(None)
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    found = ours.state_dict()
    assert torch.equal(found["label_emb.weight"], fresh["label_emb.weight"])
    assert torch.equal(found["pos_embed"][:, 0], fresh["pos_embed"][:, 0])
    assert torch.equal(found["pos_embed"][:, 1], theirs["pos_embed"][:, 0])  # the time
    assert torch.equal(found["pos_embed"][:, 2:], theirs["pos_embed"][:, 1:])  # the patches
    assert all(torch.equal(found[name], theirs[name]) for name in theirs if name != "pos_embed")
    assert fitted.dropped == [] and fitted.made == ["pos_embed[:, 0]", "label_emb.weight (3, 16)"]
    assert str(fitted) == (
        f"{len(theirs)} tensors taken; 0 dropped; 2 newly made: pos_embed[:, 0], label_emb.weight (3, 16)"
    )


def test_weights_of_other_classes(tmp_path: Path) -> None:
    ours, fresh, theirs = network(), network().state_dict(), state(7)
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    found = ours.state_dict()
    assert torch.equal(found["label_emb.weight"], fresh["label_emb.weight"])
    assert all(torch.equal(found[name], theirs[name]) for name in theirs if name != "label_emb.weight")
    assert fitted.dropped == ["label_emb.weight (7, 16)"] and fitted.made == ["label_emb.weight (3, 16)"]


@pytest.mark.parametrize(("names", "dropped"), [(CLASSES, 0), (["bee", "ant", "cat"], 1)])
def test_our_own_weights_say_the_names_of_their_classes(tmp_path: Path, names: list[str], dropped: int) -> None:
    tensor_files.save(tmp_path / "10.safetensors", state(), {"classes": json.dumps(names)})
    assert len(pretrained.load_into(network(), tmp_path / "10.safetensors", CLASSES).dropped) == dropped


@pytest.mark.parametrize(("count", "names"), [(3, ["bee", "ant", "cat"]), (4, [*CLASSES, "dog"])])
def test_other_classes_give_nothing_that_depends_on_labels(tmp_path: Path, count: int, names: list[str]) -> None:
    theirs = {name: value + 1 for name, value in network(count, seed=9, conditioning="added").state_dict().items()}
    tensor_files.save(tmp_path / "10.safetensors", theirs, {"classes": json.dumps(names)})
    ours, fresh = (network(conditioning="added") for _ in range(2))
    fitted = pretrained.load_into(ours, tmp_path / "10.safetensors", CLASSES)
    assert fitted.dropped == [f"{name} ({count}, 16)" for name in UViT.LABEL_KEYS]
    assert fitted.made == [f"{name} (3, 16)" for name in UViT.LABEL_KEYS]
    assert len(fitted.taken) == len(theirs) - 2
    assert all(torch.equal(ours.state_dict()[name], fresh.state_dict()[name]) for name in UViT.LABEL_KEYS)


@pytest.mark.parametrize("count", [3, None])
def test_weights_without_an_added_label_begin_with_none(tmp_path: Path, count: int | None) -> None:
    ours = network(conditioning="added")
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", state(count)), CLASSES)
    assert "label_added.weight (3, 16)" in fitted.made
    assert not ours.state_dict()["label_added.weight"].any()


@pytest.mark.oracle
def test_the_published_unconditional_network(oracles: Path, tmp_path: Path) -> None:
    theirs, ours = recorded(oracles / "uvit_uncond.safetensors", 3)
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    assert len(fitted.taken) == len(theirs) and len(fitted.made) == 2
    assert torch.equal(ours.state_dict()["pos_embed"][:, 1:], theirs["pos_embed"])


@pytest.mark.oracle
@pytest.mark.parametrize("more", [0, 2])
def test_the_published_conditional_network(oracles: Path, tmp_path: Path, more: int) -> None:
    classes = tensor_files.load(oracles / "uvit_cond.safetensors")[0]["state.label_emb.weight"].shape[0] + more
    theirs, ours = recorded(oracles / "uvit_cond.safetensors", classes)
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), [str(i) for i in range(classes)])
    assert len(fitted.taken) == len(theirs) - (1 if more else 0)
    kept = {name for name, value in ours.state_dict().items() if torch.equal(value, theirs[name])}
    assert kept >= set(theirs) - {"label_emb.weight"}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_wrappers_prefix_is_stripped_and_said(tmp_path: Path, prefix: str) -> None:
    ours, theirs = network(), state()
    path = saved(tmp_path / "start.pth", {prefix + name: value for name, value in theirs.items()})
    fitted = pretrained.load_into(ours, path, CLASSES)
    assert fitted.stripped == prefix and f"prefix '{prefix}' stripped" in str(fitted)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items())


def renamed(theirs: dict[str, Any]) -> None:
    theirs["norm.scale"] = theirs.pop("norm.weight")


def nan(theirs: dict[str, Any]) -> None:
    theirs["norm.weight"] = theirs["norm.weight"] / 0 * 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, r"1 missing: norm\.weight; 1 superfluous: norm\.scale"),
        (lambda theirs: theirs.pop("pos_embed"), "1 missing: pos_embed"),
        (lambda theirs: theirs.update({"norm.weight": torch.ones(17)}), r"norm\.weight \(17,\) instead of \(16,\)"),
        (nan, r"1 not finite: norm\.weight"),
        (lambda theirs: theirs.update({"module.norm.weight": theirs.pop("norm.weight")}), "'module.' and others"),
        (lambda theirs: theirs.update(optimiser={"lr": 1.0}), "'optimiser' is a dict"),
        (lambda theirs: theirs.clear(), "not a state dict"),
    ],
)
def test_everything_else_is_refused_and_nothing_taken(tmp_path: Path, change: Any, message: str) -> None:
    ours, theirs = network(), state()
    change(theirs)
    with pytest.raises(UserError, match=message):
        pretrained.load_into(ours, saved(tmp_path / "start.pth", theirs), CLASSES)
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in network().state_dict().items())


def test_another_size_names_the_first_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "start.pth", dict(network(embed_dim=32).state_dict()))
    with pytest.raises(UserError, match=r"of another shape: .*, …"):
        pretrained.load_into(network(), path, CLASSES)


class Foreign:
    """Would run a command where unpickling allows it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "start.pth", {**state(), "foreign": Foreign(tmp_path / "marker")})
    with pytest.raises(UserError, match=r"start\.pth: holds more than tensors"):
        pretrained.read(path)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Foreign(tmp_path / "marker"), protocol=2))
    with pytest.raises(UserError, match=r"plain\.pth"):
        pretrained.read(tmp_path / "plain.pth")
    assert not (tmp_path / "marker").exists()


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    whole = saved(tmp_path / "start.pth", state()).read_bytes()
    for length in (0, 10, len(whole) // 2):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut\.pth"):
            pretrained.read(tmp_path / "cut.pth")
    with pytest.raises(UserError, match=r"none\.pth: no such file"):
        pretrained.read(tmp_path / "none.pth")


def test_another_network_is_started_too(tmp_path: Path) -> None:
    """A U-Net of other classes gives all but its label embedding."""
    theirs, ours = busy(UNET, LabelSpace(num_classes=5)).network, busy(UNET, augment_dim=2, seed=1).network
    fitted = pretrained.load_into(ours, saved(tmp_path / "start.pth", dict(theirs.state_dict())), CLASSES)
    assert fitted.dropped == ["label_emb.weight (5, 32)"]
    assert fitted.made == ["label_emb.weight (3, 32)", "augment_embed.weight (32, 2)"]
    assert torch.equal(ours.state_dict()["out_conv.weight"], theirs.state_dict()["out_conv.weight"])
