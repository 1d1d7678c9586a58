"""What is blocked and what is not: verdicts against known intervals, persons with many pictures, overfitted weights."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.data import image_files, splits
from diffdistill.diffusion import training
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.loss import losses_at
from diffdistill.metrics import gate, membership, memorisation
from diffdistill.metrics.frechet import Array
from diffdistill.runtime.seeds import generator
from tests.diffusion.models import denoiser

CPU = torch.device("cpu")
MANY = gate.HeldOut(1000, 1000)


def marks(count: int, total: int) -> Tensor:
    return torch.arange(total) < count


def share(value: float, low: float, high: float) -> memorisation.Share:
    return memorisation.Share(value, low, high, 0.5)


def test_every_measure_has_a_threshold_with_a_source() -> None:
    assert tuple(gate.LIMITS) == config.MEASURES
    assert all("arXiv" in limit.source or "reason" in limit.source for limit in gate.LIMITS.values())


@pytest.mark.parametrize(
    ("interval", "held_out", "verdict", "needed"),
    [
        ((0.5, 0.4, 0.6), 100, "pass", None),
        ((0.9, 0.8, 1.0), 100, "flagged", None),
        ((0.5, 0.3, 0.76), 100, "cannot tell", 244),  # a half-width of 0.26 must fall to 1/6
        ((0.9, 0.4, 1.0), 90, "cannot tell", 414),  # 0.5 must fall to 0.2333
        ((2 / 3, 0.5, 0.8), 100, "cannot tell", None),
        ((0.5, 0.4, 0.6), 29, "cannot tell", 30),
    ],
)
def test_verdicts(interval: tuple[float, float, float], held_out: int, verdict: str, needed: int | None) -> None:
    found = gate.nearest("nearest_neighbour", share(*interval), gate.HeldOut(held_out, held_out))
    assert (found.verdict, found.held_out_needed) == (verdict, needed)
    assert (f"about {needed} held-out images are needed, {held_out} are there" in found.reason) == bool(needed)


def test_needed_images_count_whole_groups() -> None:
    found = gate.nearest("nearest_neighbour", share(0.5, 0.4, 0.6), gate.HeldOut(200, 20))
    assert found.verdict == "cannot tell" and found.held_out_needed == 300


@pytest.mark.parametrize(
    ("copies", "of", "natural", "verdict"),
    [
        (0, 10, 0, "pass"),  # a small set whose images were all compared
        (0, 5000, 0, "pass"),
        (27, 5000, 5, "pass"),  # as the source itself
        (500, 5000, 0, "flagged"),
        (9, 10, 0, "flagged"),
        (100, 5000, 10, "cannot tell"),
    ],
)
def test_an_excess_of_copies(copies: int, of: int, natural: int, verdict: str) -> None:
    found = gate.excess("copies", marks(copies, of), marks(natural, 1000), MANY, whole=True)
    assert found.verdict == verdict and found.value == pytest.approx(copies / of - natural / 1000)


def test_equal_images_are_flagged_unless_the_source_repeats_itself() -> None:
    assert gate.excess("identical", marks(40, 4000), marks(0, 1000), MANY, whole=True).verdict == "flagged"
    few = gate.excess("identical", marks(3, 4000), marks(0, 1000), MANY, whole=True)
    assert few.verdict == "cannot tell" and few.held_out_needed is not None
    more = gate.HeldOut(few.held_out_needed, few.held_out_needed)
    assert gate.excess("identical", marks(3, 4000), marks(0, more.images), more, whole=True).verdict == "flagged"
    assert gate.excess("identical", marks(0, 4000), marks(50, 1000), MANY, whole=True).verdict == "pass"


def test_a_sample_of_the_set_leaves_doubt() -> None:
    assert gate.excess("copies", marks(0, 200), marks(0, 1000), MANY, whole=False).verdict == "cannot tell"


def test_noise_is_not_called_private() -> None:
    labels = torch.arange(1000) % 10
    predicted = torch.randint(10, (1000,), generator=generator("gate"))
    found = gate.label_agreement(labels, predicted, 10)
    assert (
        found.verdict == "cannot tell" and "not a statement about privacy: label agreement is at chance" in found.reason
    )
    constant = gate.label_agreement(labels, torch.zeros(1000).long(), 10)
    assert constant.verdict == "cannot tell" and constant.threshold == pytest.approx(0.1)
    assert gate.label_agreement(labels, labels, 10).verdict == "pass"
    assert gate.label_agreement(labels[:0], labels[:0], 10).verdict == "cannot tell"


def test_one_measure_decides_and_flagged_ones_come_first() -> None:
    passed, doubtful, flagged = (
        gate.nearest("nearest_neighbour", share(*interval), MANY)
        for interval in ((0.5, 0.4, 0.6), (0.5, 0.4, 0.9), (0.9, 0.8, 1.0))
    )
    assert gate.verdict([passed]) == "pass" and gate.verdict([passed, doubtful]) == "cannot tell"
    assert gate.verdict([passed, doubtful, flagged]) == "flagged"
    record = {"measures": [asdict(one) for one in (passed, doubtful, flagged)]}
    assert [one["verdict"] for one in gate.blocking(record)] == ["flagged", "cannot tell"]


def people(seed: int, persons: int = 120, pictures: int = 10) -> tuple[Tensor, Array]:
    """Near-equal pictures uint8 (N, 1, 8, 8) of persons who differ much, and who is who; seed: of the pictures."""
    faces = torch.randint(256, (persons, 1, 8, 8), generator=generator("faces")).float().repeat_interleave(pictures, 0)
    images = (faces + 6 * torch.randn(faces.shape, generator=generator("people", seed))).clamp(0, 255).round().byte()
    return images, np.repeat(np.arange(persons), pictures)


@pytest.mark.parametrize("known", [False, True])
def test_an_audit_sees_copies_of_persons_only_if_it_knows_the_persons(known: bool) -> None:
    images, persons = people(0)
    labels = np.zeros(len(images), dtype=np.int64)
    rest, cut = splits.cut(labels, fraction=0.4, seed=0, groups=persons if known else None)
    train, held_out = images[rest], images[cut]
    drawn = people(1)[0][rest]  # a generator that memorised the persons of train: other pictures of the same ones
    groups = [torch.from_numpy(persons[part]) if known else None for part in (rest, cut)]
    near, far, base = (
        memorisation.nearest(queries, data, embed=memorisation.pixels, device=CPU, groups=of)
        for queries, data, of in ((drawn, train, groups[0]), (drawn, held_out, groups[1]), (held_out, train, groups[0]))
    )
    real = [memorisation.Real(labels[part], persons[part] if known else None) for part in (rest, cut)]
    hits = memorisation.hits(near, far, (len(train), len(held_out)))
    units = gate.HeldOut(len(held_out), real[1].units)
    to_drawn = [
        memorisation.nearest(data, drawn, embed=memorisation.pixels, device=CPU)[0][:, 0].numpy()
        for data in (train, held_out)
    ]
    scores = [membership.by_group(one, of.groups) for one, of in zip(to_drawn, real, strict=True)]
    measures = [
        gate.nearest("nearest_neighbour", memorisation.share_in_train(*hits, *real, seed=0), units),
        gate.excess("copies", *(memorisation.much_nearer(one[0]) for one in (near, base)), units, whole=True),
        *gate.membership("membership_distance", membership.membership(*scores, seed=0), units),
    ]
    verdicts = {one.name: one.verdict for one in measures}
    if known:
        assert set(verdicts.values()) == {"flagged"} and units.units == 48
    else:
        assert "flagged" not in verdicts.values() and verdicts["copies"] == "pass"


@pytest.mark.slow
@pytest.mark.parametrize("few", [True, False])
def test_weights_overfitted_to_100_images_are_flagged_and_those_of_many_are_not(few: bool) -> None:
    images, labels, held_out = _digits()
    recipe = config.Recipe(
        iterations=1200 if few else 400, batch_size=32, learning_rate=3e-3, warmup_iterations=20, decay="linear",
        betas=(0.9, 0.99), ema_decays=(0.98,), flip=False, log_every=10**9,
    )  # fmt: skip
    model, space = config.UViTModel(patch_size=4, embed_dim=64, depth=2, num_heads=4), LabelSpace(num_classes=10)
    rest = (~held_out).nonzero().flatten()
    chosen = torch.cat([rest[labels[rest] == label][: 10 if few else None] for label in range(10)])
    state = training.State.start(denoiser(model, space), recipe)
    training.train(state, image_files.from_bytes(images[chosen]), labels[chosen], recipe, until=recipe.iterations)
    state.denoiser.network.load_state_dict(state.emas[0])
    measured = [
        losses_at(
            state.denoiser.eval(), images[some], labels[some], times=(0.02, 0.05, 0.1), noises=4, seed=0,
            batch_size=250, device=CPU,
        ).numpy().mean(axis=1)
        for some in (chosen, held_out.nonzero().flatten())
    ]  # fmt: skip
    found = gate.membership("membership_loss", membership.membership(*measured, seed=0), gate.HeldOut(100, 100))
    assert gate.verdict(found) == ("flagged" if few else "pass"), found


def test_losses_of_overfitted_weights_are_flagged_by_both_measures() -> None:
    random = np.random.default_rng(0)
    for gap, expected in ((0.0, {"pass"}), (6.0, {"flagged"})):
        losses = membership.membership(random.normal(size=1000), random.normal(size=1000) + gap, seed=0)
        assert {one.verdict for one in gate.membership("membership_loss", losses, MANY)} == expected


def test_a_few_members_that_are_known_by_heart_show_in_the_tail() -> None:
    random = np.random.default_rng(0)
    members = np.concatenate([random.normal(size=800), random.normal(size=200) - 10])
    area, tail = gate.membership(
        "membership_loss", membership.membership(members, random.normal(size=1000), seed=0), MANY
    )
    assert (area.verdict, tail.verdict) == ("pass", "flagged")


def _digits() -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels, and which 100 are held out, ten per class."""
    from diffdistill.data import digits

    raw = digits.read()
    _, cut = splits.cut(raw.train_labels, per_class=10, seed=0)
    held_out = torch.zeros(len(raw.train_labels), dtype=torch.bool)
    held_out[torch.from_numpy(cut)] = True
    return torch.from_numpy(raw.train_images), torch.from_numpy(raw.train_labels), held_out
