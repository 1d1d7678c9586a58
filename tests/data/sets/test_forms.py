"""Each form gives the same images and classes; classes go by name, and without names only by a given order."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from diffdistill.data import sets
from diffdistill.errors import UserError
from tests.data.sets.making import (
    ARRAYS,
    CLASSES,
    FILE_ORDER,
    MEAN,
    NAMED,
    NUMBERED,
    STD,
    Given,
    Maker,
    by_class,
    condensed,
    folder,
    imported,
    normalised,
    npz,
    parquet,
    pixels,
    safetensors,
    tensors,
)  # fmt: skip


@pytest.mark.parametrize("make", NAMED)
def test_images_and_names_survive(make: Maker, tmp_path: Path) -> None:
    given = Given()
    path = make(tmp_path, given)
    data, found = imported(path)
    assert data.classes == CLASSES
    assert by_class(data.images, data.labels, CLASSES) == by_class(given.images, given.labels, FILE_ORDER)
    assert found.images == 12 and not found.soft_labels and found.bytes == sets.size_in_bytes(path)
    assert "12 images of (3, 4, 4)" in found.line and "4 per class in 3 classes, classes by name" in found.line


@pytest.mark.parametrize("make", NUMBERED)
def test_numbers_without_names_need_an_order(make: Maker, tmp_path: Path) -> None:
    given = Given(names=None)
    path = make(tmp_path, given)
    with pytest.raises(UserError, match="their order is not known"):
        imported(path)
    data, found = imported(path, classes=FILE_ORDER)
    assert by_class(data.images, data.labels, CLASSES) == by_class(given.images, given.labels, FILE_ORDER)
    assert "classes in the given order" in found.line
    published = sets.RealSet(CLASSES, (3, 4, 4), published_order=["bee", "cat", "ant"])
    data, _ = imported(path, published, classes="as_source")
    assert by_class(data.images, data.labels, CLASSES) == by_class(given.images, given.labels, ["bee", "cat", "ant"])


@pytest.mark.parametrize("make", [npz, condensed, folder])
def test_classes_that_are_numbers_need_no_order(make: Maker, tmp_path: Path) -> None:
    given = Given(names=None)
    data, _ = imported(make(tmp_path, given), sets.RealSet(["0", "1", "2"], (3, 4, 4)))
    assert by_class(data.images, data.labels, data.classes) == by_class(given.images, given.labels, ["0", "1", "2"])


def test_names_match_by_title_export_and_composition(tmp_path: Path) -> None:
    real = sets.RealSet(["n01", "n02", "n03"], (3, 4, 4), titles=["caf\u00e9", "Big dog", "cat"])
    data, _ = imported(npz(tmp_path, Given(names=["cat", "cafe\u0301", "big_dog"])), real)
    assert data.labels.tolist() == [2, 0, 1] * 4
    exported = sets.RealSet(["a b", "a", "c"], (3, 4, 4))  # whose folders an export has to number
    data, _ = imported(npz(tmp_path, Given(names=["2_c", "0_a_b", "1_a"])), exported)
    assert data.labels.tolist() == [2, 0, 1] * 4


def test_names_that_differ_only_in_case_match_by_spelling(tmp_path: Path) -> None:
    real = sets.RealSet(["A", "B", "a"], (3, 4, 4))
    data, _ = imported(npz(tmp_path, Given(names=["a", "A", "B"])), real)
    assert data.labels.tolist() == [2, 0, 1] * 4
    with pytest.raises(UserError, match="'a ' is no class of the real data"):  # it could be A or a
        imported(npz(tmp_path, Given(names=["a ", "A", "B"])), real)


@pytest.mark.parametrize("make", [folder, parquet])
def test_numbers_as_names_are_sorted_as_numbers(make: Maker, tmp_path: Path) -> None:
    given = Given(pixels(12), np.arange(12), [str(number) for number in range(12)])
    classes = [f"class {number:02d}" for number in range(12)]
    real = sets.RealSet(classes, (3, 4, 4))
    data, _ = imported(make(tmp_path, given), real, classes=classes)  # a folder's come as 0, 1, 10, 11, 2
    assert by_class(data.images, data.labels, classes) == by_class(given.images, given.labels, classes)
    path = tmp_path / ("set" if make is folder else "set.parquet")
    for names in (sorted(given.names or []), [f"{number:02d}" for number in range(12)]):
        data, _ = imported(path, sets.RealSet(names, (3, 4, 4)))
        found = [str(int(name)) for name in names]
        assert by_class(data.images, data.labels, found) == by_class(given.images, given.labels, given.names or [])


RANGES: list[tuple[Any, str, dict[str, Any]]] = [
    (lambda x: (x / 255).astype(np.float32), "float32 unit (0..1)", {}),
    (lambda x: (x / 255).astype(np.float16), "float16 unit (0..1)", {}),
    (lambda x: x / 127.5 - 1, "float64 signed (-1..1)", {}),
    (lambda x: x.astype(np.float32), "float32 bytes (0..255)", {}),
    (lambda x: x.astype(np.int64), "int64 bytes (0..255)", {}),
    (normalised, "float32 normalised (-2..3)", {"mean": MEAN, "std": STD}),
]


@pytest.mark.parametrize("make", ARRAYS)
@pytest.mark.parametrize(("change", "line", "keys"), RANGES, ids=[line for _, line, _ in RANGES])
def test_the_range_is_found(make: Maker, change: Any, line: str, keys: dict[str, Any], tmp_path: Path) -> None:
    given = Given(names=None)
    path = make(tmp_path, Given(change(given.images), given.labels, None))
    data, found = imported(path, classes=CLASSES, **keys)
    assert np.array_equal(data.images.numpy(), given.images) and line in found.line


@pytest.mark.parametrize("make", [npz, safetensors, tensors])
@pytest.mark.parametrize("view", ["channels last", "reversed", "every other"])
def test_any_layout_and_view(make: Maker, view: str, tmp_path: Path) -> None:
    given = Given(pixels(24), np.arange(24) % 3)
    change = {
        "channels last": lambda x: x.transpose(0, 2, 3, 1),
        "reversed": lambda x: x[::-1],
        "every other": lambda x: x[::2],
    }[view]
    data, _ = imported(make(tmp_path, Given(change(given.images), given.labels[: len(change(given.images))])))
    expected = given.images if view == "channels last" else change(given.images)
    assert np.array_equal(data.images.numpy(), expected)


def test_bfloat16(tmp_path: Path) -> None:
    images = pixels(3)
    value = {"x": (torch.from_numpy(images).float() / 255).bfloat16(), "y": torch.arange(3)}
    torch.save(value, tmp_path / "set.pt")
    from safetensors.torch import save_file

    save_file(value, tmp_path / "set.safetensors")
    for name in ("set.pt", "set.safetensors"):
        data, _ = imported(tmp_path / name, classes=CLASSES)
        assert int((data.images.int() - torch.from_numpy(images).int()).abs().max()) <= 1


@pytest.mark.parametrize("per_class", [10, 1, 7])
def test_the_challenges_file(per_class: int, tmp_path: Path) -> None:
    images = pixels(3 * per_class)
    torch.save(torch.from_numpy(normalised(images)), tmp_path / "tensor.pt")
    with pytest.raises(UserError, match="order is not known"):
        imported(tmp_path / "tensor.pt", mean=MEAN, std=STD)
    data, found = imported(tmp_path / "tensor.pt", mean=MEAN, std=STD, classes=CLASSES)
    assert np.array_equal(data.images.numpy(), images) and "labels by position" in found.line
    assert data.labels.tolist() == [label for label in range(3) for _ in range(per_class)]


@pytest.mark.parametrize("kind", ["pt", "npy", "txt", "names"])
def test_labels_from_a_second_file(kind: str, tmp_path: Path) -> None:
    given = Given()
    torch.save(torch.from_numpy(normalised(given.images)), tmp_path / "images_best.pt")
    labels = tmp_path / f"labels.{kind}"
    if kind == "pt":
        torch.save(torch.from_numpy(given.labels), labels)
    elif kind == "npy":
        with labels.open("wb") as file:
            np.save(file, given.labels)
    else:
        names = FILE_ORDER if kind == "names" else ["0", "1", "2"]
        labels.write_text("\n".join(names[label] for label in given.labels) + "\n")
    classes = None if kind == "names" else FILE_ORDER
    data, found = imported(tmp_path / "images_best.pt", labels=str(labels), classes=classes, mean=MEAN, std=STD)
    assert by_class(data.images, data.labels, CLASSES) == by_class(given.images, given.labels, FILE_ORDER)
    assert found.bytes == sets.size_in_bytes(tmp_path / "images_best.pt", labels)


@pytest.mark.parametrize("logits", [False, True])
def test_soft_labels_stand_beside_hard_ones(logits: bool, tmp_path: Path) -> None:
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    images = pixels(3)
    torch.save((torch.from_numpy(images), (rows.log() + 5) if logits else rows), tmp_path / "set.pt")
    keys = {"soft_labels": "logits"} if logits else {}
    data, found = imported(tmp_path / "set.pt", classes=FILE_ORDER, **keys)
    tensors_in_file = load_file(tmp_path / "out.safetensors")
    assert torch.allclose(tensors_in_file["soft_labels"], rows[:, [1, 2, 0]], atol=1e-6)  # in the order ant, bee, cat
    assert data.labels.tolist() == [2, 0, 1] and np.array_equal(data.images.numpy(), images)
    assert found.soft_labels and found.line.endswith("soft labels: the most probable class is used")


def test_one_hot_labels_are_hard(tmp_path: Path) -> None:
    torch.save([torch.from_numpy(pixels(6)), torch.eye(3).repeat(2, 1)], tmp_path / "set.pt")
    data, found = imported(tmp_path / "set.pt", classes=CLASSES)
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2] and not found.soft_labels


def test_one_repetition_of_several(tmp_path: Path) -> None:
    pairs = [[torch.from_numpy(pixels(3)) // (2 + k), torch.arange(3)] for k in range(3)]
    torch.save({"data": pairs, "accs_all_exps": {}}, tmp_path / "res.pt")
    with pytest.raises(UserError, match=r"holds 3 repetitions of the set; say which one \(0..2\)"):
        imported(tmp_path / "res.pt", classes=CLASSES)
    data, _ = imported(tmp_path / "res.pt", classes=CLASSES, experiment=2)
    assert torch.equal(data.images, pairs[2][0])
    with pytest.raises(UserError, match="has no repetition 3"):
        imported(tmp_path / "res.pt", classes=CLASSES, experiment=3)


def test_a_folder_of_parquet_shards_with_labels_as_text(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional extra")
    from pyarrow import parquet as files

    from tests.data.sets.making import png

    given = Given()
    (tmp_path / "set").mkdir()
    for shard in range(2):
        rows = slice(6 * shard, 6 * shard + 6)
        columns = {
            "img": [png(image) for image in given.images[rows]],
            "label": [FILE_ORDER[label] for label in given.labels[rows]],
        }
        files.write_table(pyarrow.table(columns), tmp_path / "set" / f"train-0000{shard}-of-00002.parquet")
    data, _ = imported(tmp_path / "set")
    assert np.array_equal(data.images.numpy(), given.images)
    assert [CLASSES[label] for label in data.labels] == [FILE_ORDER[label] for label in given.labels]
    shutil.copy(tmp_path / "set/train-00000-of-00002.parquet", tmp_path / "set/test-00000-of-00001.parquet")
    with pytest.raises(UserError, match="shards of several splits, test, train; move those of one"):
        imported(tmp_path / "set")


def test_other_splits_of_a_folder_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "test"):
        folder(tmp_path, Given()).rename(tmp_path / split)
    (tmp_path / "set").mkdir()
    for split in ("train", "test"):
        (tmp_path / split).rename(tmp_path / "set" / split)
    data, _ = imported(tmp_path / "set")
    assert len(data.labels) == 12 and "not read: test (12 images)" in caplog.text


@pytest.mark.parametrize("make", [folder, parquet, npz])
def test_grey_images_in_three_channels(make: Maker, tmp_path: Path) -> None:
    grey = np.repeat(pixels(12)[:, :1], 3, axis=1)
    real = sets.RealSet(CLASSES, (1, 4, 4))
    data, _ = imported(make(tmp_path, Given(grey)), real)
    assert data.images.shape == (12, 1, 4, 4)
    with pytest.raises(UserError, match="has 3 channels, the real images have 1"):
        imported(make(tmp_path, Given()), real)
