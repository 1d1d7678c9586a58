"""The challenge's ConvNet: blocks of convolution, instance norm, ReLU and average pooling, then one linear layer.

Zhao et al. 2021, "Dataset Condensation with Gradient Matching" (arXiv 2006.05929); published state-dict keys.
"""

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Raises ValueError if the image is too small to be halved `depth` times."""

    def __init__(self, num_classes: int, img_size: int, in_chans: int = 3, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.arguments = {
            "num_classes": num_classes, "img_size": img_size, "in_chans": in_chans, "width": width, "depth": depth,
        }  # fmt: skip
        """What it was built from, for its file."""
        side = img_size >> depth
        if side < 1:
            raise ValueError(f"images of {img_size} pixels cannot be halved {depth} times")
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [
                nn.Conv2d(width if index else in_chans, width, 3, padding=1),
                nn.GroupNorm(width, width),  # a group a channel: instance norm
                nn.ReLU(),
                nn.AvgPool2d(2),
            ]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.classifier = nn.Linear(width * side**2, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> the classifier's input (B, F)."""
        return self.features(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> logits (B, K)."""
        return self.classifier(self.embed(x))  # type: ignore[no-any-return]
