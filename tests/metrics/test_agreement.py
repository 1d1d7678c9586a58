"""A judge that reads the label off the image."""

import torch
from torch import Tensor, nn

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.metrics import agreement
from diffdistill.runtime.seeds import generator

IMAGES = torch.arange(6, dtype=torch.uint8).reshape(6, 1, 1, 1) % 3


class Reader(nn.Module):
    """The logit of the class that the pixel names is log 8, of the two others 0: a probability of 0.8."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0).log())

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * nn.functional.one_hot(images.flatten().long(), 3)


def test_the_likeliest_class_and_its_probability() -> None:
    for batch_size in (1, 4, 6):
        predicted, confidence = agreement.predict(Reader(), IMAGES, batch_size)
        assert predicted.tolist() == [0, 1, 2, 0, 1, 2]
        assert torch.allclose(confidence, torch.full((6,), 0.8))


def test_agreement_and_counts() -> None:
    predicted, labels = torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 1, 1])
    assert agreement.label_agreement(predicted, labels) == 0.5
    assert agreement.label_agreement(predicted[:3], labels[:3]) == 2 / 3
    assert agreement.per_class(predicted != labels, labels, 3) == [0, 2, 0]
    assert agreement.label_agreement(predicted[:0], labels[:0]) == 0


def test_features_are_judged_as_the_images_are() -> None:
    shape = {"num_classes": 4, "img_size": 16, "width": 8, "depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = Classifier(ConvNet(**shape), ([0.5] * 3, [0.25] * 3)).eval()
    images = torch.randint(256, (50, 3, 16, 16), generator=generator("judged"), dtype=torch.uint8)
    predicted = agreement.predict(classifier, images)[0]
    assert len(predicted.unique()) > 1
    assert torch.equal(agreement.predict_from_features(classifier, classifier.features(images).detach()), predicted)
