"""Labels are classes, sub-classes and the null label; that of an image depends on (seed, i) alone."""

import pytest
import torch

from diffdistill.diffusion.labels import LabelSpace, balanced, in_proportion

COUNTS = ((6, 2), (5, 5), (9, 1))


def test_sizes() -> None:
    assert LabelSpace(num_classes=3).size == 3
    assert LabelSpace(num_classes=3, subclasses=COUNTS).size == 6
    space = LabelSpace(num_classes=3, subclasses=COUNTS, null_label=True)
    assert (space.size, space.null) == (7, 6)
    with pytest.raises(ValueError, match="no null label"):
        _ = LabelSpace(num_classes=3).null


def test_every_prefix_is_balanced() -> None:
    assert balanced(7, 5, 3).tolist() == [1, 2, 0, 1, 2]


def test_subclasses_have_their_frequency_whatever_the_batch() -> None:
    space, classes = LabelSpace(num_classes=3, subclasses=COUNTS), balanced(0, 30_000, 3)
    labels = space.sample(classes, seed=1, first=0)
    assert torch.equal(labels % 3, classes)
    for label, row in enumerate(COUNTS):
        share = (labels[classes == label] // 3).bincount(minlength=2) / 10_000
        assert share.tolist() == pytest.approx([one / sum(row) for one in row], abs=0.02)
    assert torch.equal(space.sample(classes[600:700], seed=1, first=600), labels[600:700])
    assert not torch.equal(space.sample(classes, seed=2, first=0), labels)


def test_a_subclass_without_images_is_never_sampled() -> None:
    space = LabelSpace(num_classes=1, subclasses=((0, 3, 0),))
    assert set(space.sample(torch.zeros(5000, dtype=torch.int64), seed=0, first=0).tolist()) == {1}


def test_without_subclasses_labels_are_classes() -> None:
    classes = balanced(0, 10, 3)
    assert torch.equal(LabelSpace(num_classes=3).sample(classes, seed=0, first=0), classes)


def test_every_prefix_follows_the_counts() -> None:
    assert torch.equal(in_proportion([4, 4, 4]), balanced(0, 12, 3))
    counts = torch.tensor([60, 0, 25, 15])
    classes = in_proportion(counts.tolist())
    assert torch.equal(classes.bincount(minlength=4), counts)
    for prefix in range(1, 101):
        assert (classes[:prefix].bincount(minlength=4) - counts * prefix / 100).abs().max() < 1.5
