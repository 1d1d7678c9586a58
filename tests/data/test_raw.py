"""Images on disk, and classes that are left out."""

import numpy as np
import pytest

from diffdistill.data.raw import OnDisk, RawData, Split, in_sorted_order
from diffdistill.errors import UserError


def test_images_on_disk_are_those_that_were_written() -> None:
    images = OnDisk.room(3, 1, 2, 2)
    images[2] = np.full((1, 2, 2), 7, dtype=np.uint8)
    assert images[np.array([2, 0])].tolist() == [[[[7, 7], [7, 7]]], [[[0, 0], [0, 0]]]]
    assert np.asarray(images.part(1, 2)).shape == (2, 1, 2, 2) and images.part(2, 1)[np.array([0])].max() == 7
    assert images.in_colour()[np.array([2])].tolist() == [[[[7, 7], [7, 7]]] * 3]


def test_classes_without_train_images_are_left_out() -> None:
    pixels = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    train, test = Split(pixels, np.array([0, 2, 2])), Split(pixels[:1], np.array([2]), ["x.png"])
    raw = RawData(train, test, ["a", "b", "c"], "0", ["A", "B", "C"]).without_empty_classes()
    assert raw.classes == ["a", "c"] and raw.class_titles == ["A", "C"] and raw.train_labels.tolist() == [0, 1, 1]
    assert raw.test is not None and raw.test.labels.tolist() == [1] and raw.test.names == ["x.png"]
    bad = RawData(train, Split(pixels[:1], np.array([1])), ["a", "b", "c"], "0")
    with pytest.raises(UserError, match="class 'b' has images in test, but none in train"):
        bad.without_empty_classes()


def test_labels_follow_the_sorted_names() -> None:
    classes, labels = in_sorted_order(["b", "a"], np.array([0, 1, 1]), "here")
    assert classes == ["a", "b"] and labels.tolist() == [1, 0, 0]
    with pytest.raises(UserError, match="here: a class name stands twice"):
        in_sorted_order(["a", "a"], np.array([0]), "here")
