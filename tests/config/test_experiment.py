"""Settings that need each other are named together, before any job."""

import copy
from typing import Any

import pytest

from diffdistill import config
from diffdistill.errors import UserError
from tests.shipped import VALUES as PLAIN

TUNE = {"iterations": 10, "batch_size": 8}
CONSISTENCY = {"algorithm": "consistency", "nfe": 2}


def parsed(**blocks: Any) -> config.Experiment:
    values = copy.deepcopy(PLAIN)
    digits = values["experiments"]["digits"]
    for name, block in blocks.items():
        digits[name] = {**(digits.get(name) or {}), **block}
    return config.parse(values).experiment("digits")


@pytest.mark.parametrize(
    ("blocks", "parts"),
    [
        ({"sample": {"guidance": {"weight": 1.5}}}, ["sample.guidance", "train.label_dropout"]),
        (
            {"sample": {"guidance": {"weight": 2, "from_step": 1500}}},
            ["guidance.from_step: the weights of iteration 1500", "fid.every 1000"],
        ),
        ({"sample": {"guidance": {"weight": 2, "from_step": 9000}}}, ["iteration 9000", "up to train.iterations"]),
        ({"sample": {"guidance": {"weight": 2, "interval": [0.5, 0.1]}}}, ["interval [0.5, 0.1] must rise"]),
        ({"sample": {"solver": CONSISTENCY}}, ["sample.solver.algorithm 'consistency'", "block tune"]),
        ({"fid": {"solver": CONSISTENCY}, "tune": TUNE}, ["fid.solver", "'consistency'"]),
        (
            {"sample": {"solver": CONSISTENCY, "guidance": {"weight": 2, "from_step": 1000}}, "tune": TUNE},
            ["sample.guidance", "cannot be combined"],
        ),
        (
            {"sample": {"solver": CONSISTENCY}, "tune": TUNE, "checkpoint": {"by": "pilot"}},
            ["checkpoint.by 'pilot'", "set checkpoint.by: fid"],
        ),
        ({"train": {"augment": "flip_cutout"}}, ["unknown family 'cutout'", "crop"]),
        ({"train": {"subclasses": 2, "start": {"path": "a.pth"}}}, ["subclasses", "start"]),
        ({"train": {"label_dropout": 1}}, ["train.label_dropout"]),
        ({"train": {"loss_weight": "minsnr"}}, ["train.loss_weight", "min_snr"]),
        ({"tune": {**TUNE, "warmup_iterations": 10}}, ["warmup_iterations 10 must be below iterations 10"]),
    ],
)
def test_what_does_not_fit_is_named(blocks: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parsed(**blocks)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 and all(part in lines[0] for part in parts)


@pytest.mark.parametrize(
    "blocks",
    [
        {"sample": {"guidance": {"weight": 1.5}}, "train": {"label_dropout": 0.1}},
        {"sample": {"guidance": {"weight": 1.5, "from_step": 2000, "interval": [0.1, 0.5]}}},
        {"sample": {"solver": CONSISTENCY}, "tune": TUNE},
        {"tune": TUNE},
        {"train": {"subclasses": 3, "augment": "crop_scale", "loss_weight": "min_snr", "times": "logit_normal"}},
    ],
)
def test_what_fits_is_taken(blocks: dict[str, Any]) -> None:
    assert parsed(**blocks) != parsed()


SAMPLES = {"kind": "samples", "path": "theirs.safetensors"}


def finished(**changed: Any) -> config.Experiment:
    """An experiment about a finished set."""
    digits = copy.deepcopy(PLAIN["experiments"]["digits"])
    values = {key: digits[key] for key in ("source", "evaluate")} | {"generator": SAMPLES} | changed
    return config.read(config.Experiment, values, "here")


def test_a_finished_set_needs_neither_training_nor_measurements() -> None:
    one = finished()
    assert not one.trains and one.emas() == [] and one.pilots() == []
    assert finished(select={"method": "herding", "per_class": 5}).sample_sets == ("random-samples", "all-samples")


@pytest.mark.parametrize("block", ["model", "train", "fid", "sample", "tune", "checkpoint"])
def test_a_finished_set_takes_no_block_of_training(block: str) -> None:
    digits = PLAIN["experiments"]["digits"]
    value = {"tune": TUNE, "checkpoint": {"by": "pilot"}}.get(block) or digits[block]
    with pytest.raises(UserError, match=f"generator.kind 'samples' takes no {block}"):
        finished(**{block: value})


GENERATORS: dict[str, dict[str, Any]] = {
    "weights": {"kind": "weights", "path": "theirs.safetensors"},
    "python": {"kind": "python", "path": "theirs.py", "name": "Theirs"},
    "pipeline": {"kind": "pipeline", "path": "theirs"},
}


def test_weights_from_elsewhere_are_guided_by_their_null_label() -> None:
    one = finished(generator=GENERATORS["weights"], sample={"images": 20, "guidance": {"weight": 1.5}})
    assert one.sample is not None and one.sample.guidance is not None


@pytest.mark.parametrize(
    ("kind", "sample", "said"),
    [
        (
            "weights", {"guidance": {"weight": 2, "from_step": 5}},
            "sample.guidance.from_step: generator.kind 'weights' has no weights of an earlier iteration; remove it",
        ),
        ("python", {"guidance": {"weight": 2}}, "generator.kind 'python' takes no sample.guidance; remove it"),
        ("pipeline", {"guidance": {"weight": 2}}, "takes no sample.guidance; remove it, or give generator.guidance"),
        *((kind, {"modes": {}}, f"generator.kind '{kind}' takes no sample.modes; remove it") for kind in GENERATORS),
        *(
            (kind, {"solver": CONSISTENCY}, f"generator.kind '{kind}' has none; take another algorithm")
            for kind in GENERATORS
        ),
    ],
)  # fmt: skip
def test_what_only_a_model_trained_here_can_do(kind: str, sample: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        finished(generator=GENERATORS[kind], sample={"images": 20, **sample})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_finished_set_cannot_be_sampled_again() -> None:
    with pytest.raises(UserError, match=r"study.resamplings: generator.kind 'samples' cannot sample"):
        finished(study={"resamplings": 2})


def test_without_fid_the_last_checkpoint_is_taken() -> None:
    digits = copy.deepcopy(PLAIN["experiments"]["digits"]) | {"fid": None, "checkpoint": {}}
    one = config.read(config.Experiment, digits, "here")
    assert one.train is not None and one.checkpoint_by == "last"
    assert [ema.name for ema in one.emas()] == [str(one.train.iterations)]
    with pytest.raises(UserError, match=r"checkpoint.by 'fid' needs the block fid"):
        config.read(config.Experiment, digits | {"checkpoint": {"by": "fid"}}, "here")


def test_the_limit_on_jobs_counts_every_factor() -> None:
    decays = {"train": {"iterations": 6000, "slice_iterations": 3000, "ema_decays": [0.9, 0.99, 0.999, 0.9999]}}
    setups = [{}, {"select": {"method": "classifier"}}, {"solver": {"nfe": 4}}, {"solver": {"nfe": 6}}]
    every = {"fid": {"every": 100}}
    assert len(parsed(**decays, **every).emas()) == 240
    with pytest.raises(UserError) as caught:
        parsed(**decays, **every, checkpoint={"by": "pilot", "setups": setups})
    # 60 iterations, 4 decays: 240 measurements; 4 setups and 3 seeds with each: 2880 trainings
    assert "FID measurements (240) and pilot trainings (2880)" in str(caught.value)
    assert "the limit is 2000" in str(caught.value)


def test_only_a_selection_is_compared_with_other_samples() -> None:
    herding = {"method": "herding", "per_class": 10}
    both = ("random-samples", "all-samples")
    assert parsed().sample_sets == () and parsed(select={"method": "random", "images": 50}).sample_sets == both[1:]
    assert parsed(select=herding).sample_sets == both
    setups = [{}, {"select": {"method": "classifier", "label_noise": "drop"}}]
    pilot = {"by": "pilot", "setups": setups}
    assert parsed(select=herding, checkpoint={**pilot, "setups": setups[:1]}).sample_sets == ()
    assert parsed(checkpoint=pilot).sample_sets == both
    runs = parsed(study={"images_per_class": [5]}, select=herding).study_runs()
    assert set(runs) == {"size-5-distilled", "size-5-real-random", "size-5-random-samples"}
