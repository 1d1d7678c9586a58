"""Features do not depend on the batch, and Inception's are pytorch-fid's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid import inception as published
from torch import nn

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.errors import UserError
from diffdistill.metrics import features
from diffdistill.runtime import tensor_files
from diffdistill.runtime.seeds import generator

CPU = torch.device("cpu")
IMAGES = torch.randint(256, (51, 3, 16, 16), generator=generator("test images"), dtype=torch.uint8)


def small_classifier() -> Classifier:
    shape = {"num_classes": 4, "img_size": 16, "width": 8, "depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(ConvNet(**shape), ([0.5] * 3, [0.25] * 3))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of pytorch-fid's file; published.fid_inception_v3 asks for no download."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"

    def take(network: nn.Module, state: object) -> None:
        torch.save(network.state_dict(), path)

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        patch.setattr(published, "load_state_dict_from_url", lambda url, progress: {})
        patch.setattr(nn.Module, "load_state_dict", take)
        published.fid_inception_v3()
    return path


@pytest.mark.parametrize("batch_size", [1, 7, 50])
def test_every_image_counts_at_any_batch_size(batch_size: int) -> None:
    expected = features.classifier_features(small_classifier(), IMAGES, 51)
    found = features.classifier_features(small_classifier(), IMAGES, batch_size)
    assert found.shape == (51, 8 * 4 * 4) and found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_of_images_reads_the_classifiers_file(tmp_path: Path) -> None:
    classifier = small_classifier()
    classifier.to_file(tmp_path / "c.safetensors", list("abcd"))
    found = features.of_images("classifier", tmp_path / "c.safetensors", IMAGES, CPU)
    np.testing.assert_allclose(found, features.classifier_features(classifier, IMAGES), rtol=1e-5, atol=1e-5)


def test_an_image_of_the_mean_colour_is_normalised_to_zero() -> None:
    flat = torch.full((1, 3, 16, 16), 127, dtype=torch.uint8)
    assert float(small_classifier().normalise(flat).abs().max()) < 0.01


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uvit.safetensors"
    tensors = {"mean": torch.zeros(1), "std": torch.ones(1)}
    tensor_files.save(path, tensors, {"shape": json.dumps({"img_size": 8, "embed_dim": 64})})
    with pytest.raises(UserError, match="not a classifier"):
        features.of_images("classifier", path, IMAGES, CPU)


def test_missing_and_broken_inception_weights_say_where_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(UserError, match=r"weights.pth: no such file; download https://.*pt_inception.*put it there"):
        features.of_images("inception", path, IMAGES, CPU)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"weights.pth: does not hold pytorch-fid's weights.*https://"):
        features.of_images("inception", path, IMAGES, CPU)
    torch.save({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="does not hold pytorch-fid's weights"):
        features.of_images("inception", path, IMAGES, CPU)
    with pytest.raises(UserError, match="'vgg' is unknown; known: classifier, inception"):
        features.of_images("vgg", path, IMAGES, CPU)


@pytest.mark.slow
def test_inception_is_pytorch_fids(inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.load(inception_file, weights_only=True)
    monkeypatch.setattr(published, "load_state_dict_from_url", lambda url, progress: state)
    theirs = published.InceptionV3().eval()
    with torch.inference_mode():
        expected = theirs(IMAGES[:4].float() / 255)[0][:, :, 0, 0].double().numpy()
    found = features.inception_features(inception_file, IMAGES[:4], 3, CPU)  # the last batch holds one image
    assert found.shape == (4, 2048) and expected.std(axis=0).max() > 0
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5
    # images differ from one another by far more than the two networks do
    assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected - expected.mean(axis=0))


@pytest.mark.slow
def test_grey_images_are_widened_for_inception(inception_file: Path) -> None:
    grey = IMAGES[:1, :1]
    narrow = features.inception_features(inception_file, grey, 1, CPU)
    wide = features.inception_features(inception_file, grey.repeat(1, 3, 1, 1), 1, CPU)
    np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-7)
