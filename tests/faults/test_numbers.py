"""Wrong numbers without an error: two files that do not belong together are refused, with both values."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.tiny import CLASSIFIER, JOBS, REFERENCE, TEST_SET, TRAIN, TRAIN_SET, contents

from diffdistill import config
from diffdistill.classify import training
from diffdistill.classify.convnet import ConvNet
from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.metrics import features, frechet
from diffdistill.runtime import files, tensor_files
from tests.faults import fault


def rewritten(path: Path, **metadata: str | None) -> None:
    """The same tensors with other metadata; None removes a key."""
    tensors, found = tensor_files.load(path)
    changed = {key: value for key, value in {**found, **metadata}.items() if value is not None}
    tensor_files.save(path, tensors, changed)


@fault("F01", "a batch in another memory order is streamed reshuffled", "any view comes back as it was")
@pytest.mark.parametrize("view", ["transposed", "reversed", "strided", "expanded"])
def test_any_view_is_streamed_as_it_was(tmp_path: Path, view: str) -> None:
    x = torch.arange(12 * 3 * 4 * 4, dtype=torch.int32).to(torch.uint8).reshape(12, 3, 4, 4)
    batch = {
        "transposed": x.permute(0, 1, 3, 2), "reversed": x.flip(0), "strided": x[::2],
        "expanded": x[:1].expand(5, 3, 4, 4),
    }[view]  # fmt: skip
    labels = (torch.arange(24) % 2)[::2][: len(batch)]
    with image_files.Writer(tmp_path / "x.safetensors", (3, 4, 4), {"classes": '["a", "b"]'}) as writer:
        writer.append(batch, labels)
        writer.finish()
    loaded = image_files.load(tmp_path / "x.safetensors")
    assert torch.equal(loaded.images, batch) and torch.equal(loaded.labels, labels)


@fault("F03", "two files number the same classes differently", "they are refused, with both names")
def test_permuted_class_names_are_refused(project: Path) -> None:
    names = json.dumps(["1", "0", *map(str, range(2, 10))])
    rewritten(project / "samples.safetensors", classes=names)
    before = contents(project)
    JOBS["evaluate"].run(project).refused("samples.safetensors", TEST_SET, "'1' against '0'")
    assert contents(project) == before


@fault("F04", "images are normalised twice, or not at all", "uint8 outside, normalised in the classifier alone")
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_mean_colour_becomes_zero(channels: int) -> None:
    images = torch.randint(0, 256, (50, channels, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 0] //= 2
    protocol = _protocol()
    statistics = training.statistics(protocol, images)
    classifier = training.Classifier(ConvNet(2, 8, width=8), statistics)
    mean = (torch.tensor(statistics[0]) * 255).round().to(torch.uint8)
    assert classifier.normalise(mean.reshape(1, -1, 1, 1).expand(1, channels, 8, 8)).abs().max() < 0.01
    spread = classifier.normalise(images)
    assert spread.shape == (50, 3, 8, 8) and abs(spread.mean()) < 0.01 and abs(spread.std() - 1) < 0.01


def _protocol() -> config.Protocol:
    return config.Protocol(steps=1)


@fault(
    "F05", "the splits were cut again after training: test images were trained on", "the mix is refused, with both cuts"
)
def test_splits_of_two_cuts_are_refused(project: Path) -> None:
    job = JOBS["evaluate"]
    again = replace(JOBS["prepare"], outputs={n: f"other/{n}.safetensors" for n in ("train", "validation", "test")})
    assert again.within("source", seed=7).run(project).code == 0
    mixed = replace(job, inputs=[("train", TRAIN_SET), ("test", "other/test.safetensors")])
    mixed.run(project, train_set="real").refused(TRAIN_SET, "other/test.safetensors", '"seed": 0', '"seed": 7')


@fault("F05", "a distilled set is tested on images of another source", "it is refused, with both checksums")
def test_a_test_split_of_another_source_is_refused(project: Path) -> None:
    rewritten(project / TEST_SET, source_checksum="0" * 64)
    JOBS["evaluate"].run(project).refused("source_checksum", "0" * 64)


@fault("F21", "one table mixes two trainings", "rows of another protocol, distilled set or test split are refused")
@pytest.mark.parametrize("key", ["protocol", "trained_on", "tested_on"])
def test_accuracies_of_two_kinds_are_refused(project: Path, key: str) -> None:
    path = project / "accuracy/1.json"
    row = json.loads(path.read_text())
    files.write_json(path, {**row, key: "something else"})
    before = contents(project)
    JOBS["accuracy"].run(project).refused(f"{key} is", "something else", "accuracy/1.json", "accuracy/0.json")
    assert contents(project) == before


@fault("F21", "images of another size or number of channels are tested", "they are refused, with both shapes")
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8)])
def test_images_of_another_shape_are_refused(project: Path, shape: tuple[int, ...]) -> None:
    test = image_files.load(project / TEST_SET)
    images = torch.zeros(len(test.labels), *shape, dtype=torch.uint8)
    image_files.save(project / TEST_SET, images, test.labels, test.metadata)
    JOBS["evaluate"].run(project).refused("(1, 8, 8)", str(shape))


@fault("F21", "the split to test on is empty", "it is named")
def test_an_empty_test_split_is_refused(project: Path) -> None:
    test = image_files.load(project / TEST_SET)
    image_files.save(project / TEST_SET, test.images[:0], test.labels[:0], test.metadata)
    JOBS["evaluate"].run(project).refused(TEST_SET, "no images")


@fault("F11", "a slice goes on from one that was trained with other settings", "each is named, with both values")
@pytest.mark.parametrize(("key", "before"), [("learning_rate", 0.001), ("seed", 0)])
def test_slices_of_other_settings_are_refused(project: Path, key: str, before: float) -> None:
    (project / "train/20.safetensors").unlink()
    ended = JOBS["train on"].run(project, train={**TRAIN, key: 3})
    ended.refused("train/10.safetensors", f"(train.{key} {before} against 3")
    assert not (project / "train/20.safetensors").exists()


@fault("F11", "a slice goes on from one that was trained on other data", "it is refused, with both checksums or cuts")
@pytest.mark.parametrize(
    ("key", "part", "other"), [("source_checksum", None, "0" * 64), ("cut", '"seed": 0', '"seed": 7')]
)
def test_slices_of_other_data_are_refused(project: Path, key: str, part: str | None, other: str) -> None:
    (project / "train/20.safetensors").unlink()
    found = tensor_files.load(project / TRAIN_SET)[1][key]
    rewritten(project / TRAIN_SET, **{key: found.replace(part or found, other)})
    JOBS["train on"].run(project).refused("train/10.safetensors", key, part or found, other)


@fault(
    "F12",
    "the distance of weights that were trained anew since",
    "the checkpoint rule refuses weights that were not measured",
)
def test_weights_that_were_not_measured_are_refused(project: Path) -> None:
    chosen = json.loads((project / "checkpoint.json").read_text())["step"]
    path = project / f"weights/{chosen}.safetensors"
    rewritten(path, machine="another")
    before = contents(project)
    JOBS["checkpoint"].run(project).refused(path.name, "not the weights whose FID was measured")
    assert contents(project) == before


@fault(
    "F12",
    "distances of other features, solvers or references are ranked together",
    "they are refused, with both values",
)
@pytest.mark.parametrize(
    "column", ["images", "features", "solver", "nfe", "seed", "features_sha256", "reference", "source_checksum"]
)
def test_distances_of_two_kinds_are_refused(project: Path, column: str) -> None:
    path = project / "fid/20.json"
    (row,) = json.loads(path.read_text())
    files.write_json(path, [{**row, column: 77}])
    JOBS["checkpoint"].run(project).refused(f"{column} is", "77", str(row[column]))


@fault(
    "F14",
    "the reference was made of other images",
    "it is refused: another source, cut, size or network, with both values",
)
@pytest.mark.parametrize(
    ("key", "other"),
    [("source_checksum", "0" * 64), ("shape", "[3, 16, 16]"), ("classes", '["a", "b"]'), ("features_sha256", "1" * 64)],
)
def test_a_reference_of_other_images_is_refused(project: Path, key: str, other: str) -> None:
    found = tensor_files.load(project / REFERENCE)[1][key]
    rewritten(project / REFERENCE, **{key: other})
    before = contents(project)
    JOBS["fid"].run(project).refused(REFERENCE, key, other, found)
    assert contents(project) == before


@fault("F14", "weights of another cut of the same source are measured", "they are refused, with both cuts")
def test_weights_of_another_cut_are_refused(project: Path) -> None:
    path = project / "weights/10.safetensors"
    rewritten(path, cut=tensor_files.load(path)[1]["cut"].replace('"seed": 0', '"seed": 7'))
    JOBS["fid"].run(project).refused(REFERENCE, "weights/10.safetensors", '"seed": 0', '"seed": 7')


@fault(
    "F14", "real and generated images go through different sizes or crops", "the train split is at distance 0 of itself"
)
def test_the_train_split_is_at_no_distance_of_its_own_reference(made: Path) -> None:
    reference, about = tensor_files.load(made / REFERENCE)
    images = image_files.load(made / TRAIN_SET).images
    values = features.of_images(about["features"], made / CLASSIFIER, images, torch.device("cpu"), batch_size=37)
    found = frechet.mean_and_covariance(values)
    distance = frechet.frechet_distance(*found, reference["mean"].numpy(), reference["covariance"].numpy())
    assert abs(distance) < 1e-3


@fault(
    "F13",
    "a collapsed model or few images give a complex, negative or infinite distance",
    "it is finite and not below 0",
)
def test_collapsed_and_few_images_have_a_finite_distance(made: Path) -> None:
    images = image_files.load(made / TRAIN_SET).images[:300]
    reference = frechet.mean_and_covariance(
        features.of_images("classifier", made / CLASSIFIER, images, torch.device("cpu"))
    )
    for odd in (images[:1].expand(100, -1, -1, -1), images[:3], torch.zeros(5, 1, 8, 8, dtype=torch.uint8)):
        values = features.of_images("classifier", made / CLASSIFIER, odd, torch.device("cpu"))
        distance = frechet.frechet_distance(*frechet.mean_and_covariance(values), *reference)
        assert np.isfinite(distance) and distance > 0


@fault("F13", "features that are not finite spoil the distance", "the first such image is named")
def test_features_that_are_not_finite_are_named() -> None:
    values = np.zeros((9, 4))
    values[6, 1] = np.nan
    with pytest.raises(UserError, match="image 6 "):
        frechet.mean_and_covariance(values)


@fault(
    "F06", "sampling or measuring changes the network that goes on training", "they read files, and change none of them"
)
def test_measuring_and_sampling_change_no_state(project: Path) -> None:
    before = contents(project)
    for name, block in (("fid", "measurement"), ("sample", "sample")):
        assert JOBS[name].within(block, seed=99).run(project).code == 0
    changed = {path for path, data in contents(project).items() if before[path] != data}
    assert changed <= {"fid/10.json", "samples.safetensors", "samples.json"}


@fault("F12", "nobody can say what a number was made with", "each result names its data, settings, seed and network")
def test_every_output_says_what_made_it(made: Path) -> None:
    checksum = tensor_files.load(made / TRAIN_SET)[1]["source_checksum"]
    for path in (TEST_SET, "train/20.safetensors", "weights/10.safetensors", "samples.safetensors", REFERENCE):
        metadata = tensor_files.load(made / path)[1]
        assert metadata["source_checksum"] == checksum and len(json.loads(metadata["classes"])) == 10, path
    cut = tensor_files.load(made / TRAIN_SET)[1]["cut"]
    for path in (TEST_SET, "train/20.safetensors", "weights/10.safetensors", REFERENCE):
        assert tensor_files.load(made / path)[1]["cut"] == cut, path
    (row,) = json.loads((made / "fid/10.json").read_text())
    assert row["source_checksum"] == checksum
    assert row["features_sha256"] == files.sha256(made / CLASSIFIER)
    assert row["weights_sha256"] == files.sha256(made / "weights/10.safetensors")
    row = json.loads((made / "accuracy/0.json").read_text())
    assert row["trained_on"] == files.sha256(made / "samples.safetensors")
    assert row["tested_on"] == files.sha256(made / TEST_SET) and json.loads(row["protocol"])["width"] == 8
    account = json.loads((made / "samples.json").read_text())
    assert account["seed"] == 0 and account["generator"]["step"] in (10, 20) and account["machine"]["torch"]


@fault("F11", "a result of an older version lacks what is compared", "it is named, with what to do")
@pytest.mark.parametrize(("job", "path"), [("checkpoint", "fid/10.json"), ("accuracy", "accuracy/0.json")])
def test_a_result_that_says_too_little_is_named(project: Path, job: str, path: str) -> None:
    for text in ("{}", "[]", "null", '{"step": 10, "fid": 1.0}'):
        (project / path).write_text(text)
        JOBS[job].run(project).refused(path, "delete it and run again")
