"""Copies are flagged and fresh images are not; intervals and distances against closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from diffdistill.data import digits as digits_reader
from diffdistill.data import splits
from diffdistill.metrics import gate, memorisation
from diffdistill.runtime.seeds import generator

CPU = torch.device("cpu")
HELD_OUT = gate.HeldOut(100, 100)


@pytest.fixture(scope="module")
def digits() -> dict[str, tuple[Tensor, Tensor]]:
    """Real digits: train, held-out and fresh, with their labels."""
    raw, parts = digits_reader.read(), {}
    rest = np.arange(len(raw.train_labels))
    for name, per_class in (("held_out", 10), ("fresh", 30)):
        left, cut = splits.cut(raw.train_labels[rest], per_class=per_class, seed=0)
        parts[name], rest = rest[cut], rest[left]
    parts["train"] = rest
    return {
        name: (torch.from_numpy(raw.train_images[part]), torch.from_numpy(raw.train_labels[part]))
        for name, part in parts.items()
    }


def noisy(images: Tensor, spread: float) -> Tensor:
    noise = spread * torch.randn(images.shape, generator=generator("noisy"))
    return (images + noise).clamp(0, 255).round().byte()


def audited(drawn: Tensor, digits: dict[str, tuple[Tensor, Tensor]]) -> tuple[memorisation.Share, dict[str, str]]:
    """The share in train, and the verdicts of the measures by pixels."""
    (train, labels), (held_out, others) = digits["train"], digits["held_out"]
    near, far, base = (
        memorisation.nearest(queries, references, embed=memorisation.pixels, device=CPU)
        for queries, references in ((drawn, train), (drawn, held_out), (held_out, train))
    )
    hits = memorisation.hits(near, far, (len(train), len(held_out)))
    of_train, of_held_out = memorisation.Real(labels.numpy()), memorisation.Real(others.numpy())
    share = memorisation.share_in_train(*hits, of_train, of_held_out, seed=0)
    marks = [memorisation.much_nearer(found[0]) for found in (near, base)]
    measures = [
        gate.nearest("nearest_neighbour", share, HELD_OUT),
        gate.excess("copies", marks[0], marks[1], HELD_OUT, whole=True),
        gate.excess(
            "identical", memorisation.stands_in(drawn, train), torch.zeros(100).bool(), HELD_OUT, whole=True
        ),
    ]  # fmt: skip
    return share, {measure.name: measure.verdict for measure in measures}


def test_noisy_copies_of_train_images_are_flagged(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    share, verdicts = audited(noisy(digits["train"][0], 8), digits)
    assert share.value == 1 and share.low > 0.95 and share.p_value < 0.001
    assert verdicts == {"nearest_neighbour": "flagged", "copies": "flagged", "identical": "pass"}


def test_the_train_split_itself_is_flagged_by_all(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    assert set(audited(digits["train"][0], digits)[1].values()) == {"flagged"}


def test_noisy_fresh_images_are_not(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    share, verdicts = audited(noisy(digits["fresh"][0], 8), digits)
    assert share.low < 0.5 < share.high and share.p_value > 0.01 and set(verdicts.values()) == {"pass"}


def test_a_few_copies_among_many_fresh_images_are_flagged(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    drawn = torch.cat([noisy(digits["train"][0][:30], 8), noisy(digits["fresh"][0], 8)])
    share, verdicts = audited(drawn, digits)
    assert share.low < 0.5 and verdicts["copies"] == "flagged"


def test_a_handful_of_images_tells_little_of_the_share(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    # six images whose nearest lie in train, which has 13 times as many: chance does that more often than not
    share, _ = audited(noisy(digits["train"][0][:6], 8), digits)
    assert share.value == 1 and share.low < 0.5 and share.p_value > 0.3


def test_the_share_is_an_exact_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "DRAWS", 200)
    # where train and held-out change places at random, a p-value below x has probability x
    random, labels, p_values = np.random.default_rng(0), np.arange(60) % 3, []
    for seed in range(60):
        hits = random.exponential(size=60)
        parts = memorisation.Real(labels[:48]), memorisation.Real(labels[48:])
        share = memorisation.share_in_train(hits[:48], hits[48:], *parts, seed=seed)
        p_values.append(share.p_value)
    assert 0.35 < np.mean(p_values) < 0.65 and min(p_values) < 0.1 and max(p_values) > 0.9


def test_the_share_of_parts_of_unequal_size() -> None:
    # 4 train images with 3 hits each, 2 held-out ones with 1 each: two of the four would have 6 of the 8
    four, two = memorisation.Real(np.zeros(4)), memorisation.Real(np.zeros(2))
    share = memorisation.share_in_train(np.full(4, 3.0), np.ones(2), four, two, seed=0)
    assert share.value == 0.75
    # of 14 queries: Clopper and Pearson's 0.572 and 0.982 for 12 of 14, at twice as many train as held-out images
    odds = [p / (1 - p) / 2 for p in (stats.beta.ppf(0.025, 12, 3), stats.beta.ppf(0.975, 13, 2))]
    assert np.allclose([share.low, share.high], [odds[0] / (1 + odds[0]), odds[1] / (1 + odds[1])])
    nothing = memorisation.share_in_train(np.zeros(4), np.zeros(2), four, two, seed=0)
    assert nothing.value == 0.5 and nothing.p_value == 1 and (nothing.low, nothing.high) == (0, 1)


def test_images_of_one_group_count_as_one_in_the_intervals() -> None:
    hits = [np.random.default_rng(part).exponential(size=40) for part in range(2)]
    alone, repeated = (
        memorisation.share_in_train(
            *(np.repeat(part, times) for part in hits),
            *(memorisation.Real(np.zeros(40 * times), np.repeat(np.arange(40), times)) for _ in hits),
            seed=0,
        )
        for times in (1, 10)
    )
    assert alone.value == pytest.approx(repeated.value) and alone.p_value == repeated.p_value
    counted = memorisation.share_in_train(
        *(np.repeat(part, 10) for part in hits), *(memorisation.Real(np.zeros(400)) for _ in hits), seed=0
    )
    assert counted.p_value != repeated.p_value and counted.high - counted.low < repeated.high - repeated.low


def test_equal_images_are_taken_out_of_both_splits() -> None:
    a, b, c, d = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    found = memorisation.distinct(torch.stack([a, a, b, c, c]), torch.stack([c, d, d, d]))
    assert found.train.tolist() == [0, 2] and found.held_out.tolist() == [1]
    assert (found.inside_train, found.inside_held_out, found.in_both) == (2, 2, 1)


def test_the_nearest_are_exact_however_the_blocks_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randint(256, (2, 23, 3, 4, 4), generator=generator("nearest"), dtype=torch.uint8)
    distance = (x[:, None].double() - y[None].double()).flatten(2).norm(dim=2)
    exact, groups = distance.sort(dim=1), torch.arange(23) % 4
    first = exact.indices[:, :1]
    of_others = distance.masked_fill(groups.expand(23, -1) == groups[first], torch.inf).min(1)
    for block in (5, 23, 100):
        monkeypatch.setattr(memorisation, "BLOCK", block)
        distances, indices = memorisation.nearest(x, y, embed=memorisation.pixels, device=CPU)
        assert torch.allclose(distances, exact.values[:, :2], rtol=1e-12, atol=0)
        assert torch.equal(indices, exact.indices[:, :2])
        distances, indices = memorisation.nearest(x, y, embed=memorisation.pixels, device=CPU, groups=groups)
        assert torch.equal(indices, torch.stack([first[:, 0], of_others.indices], 1))
        assert torch.allclose(distances[:, 1], of_others.values, rtol=1e-12, atol=0)
    distances, _ = memorisation.nearest(x, x, embed=memorisation.pixels, device=CPU)
    assert not distances[:, 0].any()
    alone, _ = memorisation.nearest(x, y, embed=memorisation.pixels, device=CPU, groups=torch.zeros(23).long())
    assert torch.equal(alone[:, 1], torch.full((23,), torch.inf, dtype=torch.float64))


def test_equally_near_images_share_a_hit() -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    at = torch.tensor
    train, held_out = memorisation.hits(
        (at([[1.0, 9.0], [2.0, 9.0], [3.0, 9.0]]), zero.expand(3, 2)), (at([[2.0]] * 3), zero.expand(3, 1)), (1, 1)
    )
    assert train.tolist() == [1.5] and held_out.tolist() == [1.5]


def test_wilsons_interval() -> None:
    # Wilson 1927 for 15 of 50, as statsmodels' proportion_confint(15, 50, method="wilson") gives it
    found = memorisation.proportion(torch.arange(50) < 15)
    assert found.value == 0.3 and (round(found.low, 4), round(found.high, 4)) == (0.1910, 0.4375)
    assert memorisation.proportion(torch.zeros(0, dtype=torch.bool)).high == 1
