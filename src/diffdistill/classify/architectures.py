"""Other networks than the challenge's ConvNet, in the forms that suit small images: does a set teach them too?

Like the ConvNet they start from random weights and end in logits; all of them are timm's.
"""

import math
from typing import Any

from torch import nn


def build(student: str, num_classes: int, img_size: int) -> nn.Module:
    """Normalised images (B, 3, img_size, img_size) -> logits (B, num_classes). Raises ValueError for an unknown one."""
    import timm  # takes a second, which the ConvNet need not wait for

    def create(name: str, **settings: Any) -> Any:
        return timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=3, **settings)

    if student == "resnet18":  # He et al. 2016, with the stem of their CIFAR networks: 3x3, stride 1, no pooling
        network = create("resnet18")
        network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    elif student == "vit_tiny":  # Touvron et al. 2021: 8x8 patches an image, of 2x2 pixels at least
        patch = max(2, math.ceil(img_size / 8))
        network = create("vit_tiny_patch16_224", img_size=img_size, patch_size=patch, dynamic_img_pad=True)
    elif student == "mobilenet":  # Sandler et al. 2018, with a stem of stride 1
        network = create("mobilenetv2_100")
        network.conv_stem.stride = (1, 1)
    else:
        raise ValueError(f"unknown student '{student}'; known: convnet, resnet18, vit_tiny, mobilenet")
    return network  # type: ignore[no-any-return]
