"""Copies are flagged and fresh images are not; intervals and distances against closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from diffdistill import config
from diffdistill.data import digits as digits_reader
from diffdistill.data import image_files, splits
from diffdistill.diffusion import training
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.loss import losses_at
from diffdistill.metrics import memorisation
from diffdistill.runtime.seeds import generator
from tests.diffusion.models import denoiser

CPU = torch.device("cpu")
NO_COPIES = memorisation.Proportion(0.0, 0.0, 0.01), memorisation.Proportion(0.0, 0.0, 0.05)
NOTHING_TOLD = memorisation.membership(np.arange(100.0), np.arange(100.0), seed=0)


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


def shares_and_copies(
    drawn: Tensor, digits: dict[str, tuple[Tensor, Tensor]]
) -> tuple[memorisation.Share, tuple[memorisation.Proportion, memorisation.Proportion]]:
    (train, labels), (held_out, others) = digits["train"], digits["held_out"]
    near, far, base = (
        memorisation.nearest(queries, references, count, embed=memorisation.pixels, device=CPU)
        for queries, references, count in ((drawn, train, 2), (drawn, held_out, 1), (held_out, train, 2))
    )
    hits = memorisation.hits(near, far, (len(train), len(held_out)))
    share = memorisation.share_in_train(*hits, labels.numpy(), others.numpy(), seed=0)
    copies = [memorisation.proportion(memorisation.much_nearer(found[0])) for found in (near, base)]
    return share, (copies[0], copies[1])


def test_noisy_copies_of_train_images_are_flagged(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    share, copies = shares_and_copies(noisy(digits["train"][0], 8), digits)
    assert share.value == share.low == 1 and share.p_value < 0.001 and copies[0].value > 0.9
    flagged, _ = memorisation.reasons({"pixels": share}, copies, NOTHING_TOLD)
    assert len(flagged) == 2 and flagged[0].startswith("by pixels, 1.00") and "three times nearer" in flagged[1]


def test_noisy_fresh_images_are_not(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    share, copies = shares_and_copies(noisy(digits["fresh"][0], 8), digits)
    assert share.low < 0.5 < share.high and share.p_value > 0.01 and copies[0].value == 0
    assert memorisation.reasons({"pixels": share}, copies, NOTHING_TOLD) == ([], [])


def test_a_few_copies_among_many_fresh_images_are_flagged(digits: dict[str, tuple[Tensor, Tensor]]) -> None:
    drawn = torch.cat([noisy(digits["train"][0][:30], 8), noisy(digits["fresh"][0], 8)])
    share, copies = shares_and_copies(drawn, digits)
    assert share.low < 0.5 and memorisation.reasons({"pixels": share}, copies, NOTHING_TOLD)[0]


def test_the_share_is_an_exact_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "DRAWS", 200)
    # where train and held-out change places at random, a p-value below x has probability x
    random, labels, p_values = np.random.default_rng(0), np.arange(60) % 3, []
    for seed in range(60):
        hits = random.exponential(size=60)
        share = memorisation.share_in_train(hits[:48], hits[48:], labels[:48], labels[48:], seed=seed)
        p_values.append(share.p_value)
    assert 0.35 < np.mean(p_values) < 0.65 and min(p_values) < 0.1 and max(p_values) > 0.9


def test_the_share_of_parts_of_unequal_size() -> None:
    # 4 train images with 3 hits each, 2 held-out ones with 1 each: two of the four would have 6 of the 8
    share = memorisation.share_in_train(np.full(4, 3.0), np.ones(2), np.zeros(4), np.zeros(2), seed=0)
    assert share.value == share.low == share.high == 0.75
    nothing = memorisation.share_in_train(np.zeros(4), np.zeros(2), np.zeros(4), np.zeros(2), seed=0)
    assert nothing.value == 0.5 and nothing.p_value == 1


def test_equal_images_are_taken_out_of_both_splits() -> None:
    a, b, c, d = torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1)
    found = memorisation.distinct(torch.stack([a, a, b, c, c]), torch.stack([c, d, d, d]))
    assert found.train.tolist() == [0, 2] and found.held_out.tolist() == [1]
    assert (found.inside_train, found.inside_held_out, found.in_both) == (2, 2, 1)


def test_the_nearest_are_exact_however_the_blocks_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.randint(256, (2, 23, 3, 4, 4), generator=generator("nearest"), dtype=torch.uint8)
    exact = (x[:, None].double() - y[None].double()).flatten(2).norm(dim=2).sort(dim=1)
    for block in (5, 23, 100):
        monkeypatch.setattr(memorisation, "BLOCK", block)
        distances, indices = memorisation.nearest(x, y, 2, embed=memorisation.pixels, device=CPU)
        assert torch.allclose(distances, exact.values[:, :2], rtol=1e-12, atol=0)
        assert torch.equal(indices, exact.indices[:, :2])
    distances, _ = memorisation.nearest(x, x, 1, embed=memorisation.pixels, device=CPU)
    assert not distances.any()


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


def test_the_area_and_the_rate_at_one_per_cent() -> None:
    told = memorisation.membership(np.arange(200.0), np.arange(200.0, 500.0), seed=0)
    assert (told.auc, told.tpr, told.tpr_low) == (1, 1, 1) and told.p_value < 0.001
    assert NOTHING_TOLD.auc == 0.5 and NOTHING_TOLD.tpr == 0.01 and NOTHING_TOLD.p_value > 0.4
    # N(0, 1) against N(1, 1): area Phi(1 / sqrt 2), rate Phi(1 - 2.3263)
    quantiles = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    gaussian = memorisation.membership(quantiles, quantiles + 1, seed=0)
    assert abs(gaussian.auc - 0.7602) < 0.001 and abs(gaussian.tpr - 0.0923) < 0.002
    assert gaussian.auc_low < 0.7602 < gaussian.auc_high and gaussian.tpr_low < 0.0923 < gaussian.tpr_high


@pytest.mark.slow
def test_weights_fitted_to_few_images_are_flagged_and_those_of_many_are_not(
    digits: dict[str, tuple[Tensor, Tensor]],
) -> None:
    (train, labels), (held_out, others) = digits["train"], digits["held_out"]
    recipe = config.Recipe(
        iterations=400, batch_size=32, learning_rate=3e-3, warmup_iterations=20, decay="linear", betas=(0.9, 0.99),
        ema_decays=(0.98,), flip=False, log_every=10**9,
    )  # fmt: skip
    model, space = config.UViTModel(patch_size=4, embed_dim=64, depth=2, num_heads=4), LabelSpace(num_classes=10)
    flagged = {}
    for few in (True, False):
        chosen = torch.cat([(labels == label).nonzero().flatten()[: 2 if few else None] for label in range(10)])
        state = training.State.start(denoiser(model, space), recipe)
        training.train(state, image_files.from_bytes(train[chosen]), labels[chosen], recipe, until=recipe.iterations)
        state.denoiser.network.load_state_dict(state.emas[0])
        measured = [
            losses_at(
                state.denoiser.eval(), images, y, times=(0.02, 0.05, 0.1), noises=4, seed=0, batch_size=250, device=CPU
            )
            .numpy()
            .mean(axis=1)
            for images, y in ((train[chosen], labels[chosen]), (held_out, others))
        ]
        told = memorisation.membership(measured[0], measured[1], seed=0)
        flagged[few] = bool(memorisation.reasons({}, NO_COPIES, told)[0])
    assert flagged == {True: True, False: False}
