"""Other architectures than the challenge's ConvNet, from timm, adapted to small images, randomly initialised."""

import math
from typing import Any

import torch
from torch import nn


def build(architecture: str, num_classes: int, img_size: int) -> nn.Module:
    """Normalised images (B, 3, img_size, img_size) -> logits (B, num_classes). Raises ValueError for an unknown one."""
    import timm  # takes a second, which the ConvNet does not need

    def create(name: str, **settings: Any) -> Any:
        return timm.create_model(name, pretrained=False, num_classes=num_classes, in_chans=3, **settings)

    if architecture == "resnet18":  # He et al. 2016, with the stem of their CIFAR networks: 3x3, stride 1, no pooling
        network = create("resnet18")
        network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    elif architecture == "vit_tiny":  # Touvron et al. 2021: 8x8 patches per image, of at least 2x2 pixels
        patch = max(2, math.ceil(img_size / 8))
        network = create("vit_tiny_patch16_224", img_size=img_size, patch_size=patch, dynamic_img_pad=True)
    elif architecture == "mobilenet":  # Sandler et al. 2018, with a stem of stride 1
        network = create("mobilenetv2_100")
        network.conv_stem.stride = (1, 1)
        network = network.to(memory_format=torch.channels_last)  # depthwise convolutions: 0.6 of the time on a CPU
    else:
        raise ValueError(f"unknown architecture '{architecture}'; known: convnet, resnet18, vit_tiny, mobilenet")
    return network  # type: ignore[no-any-return]
