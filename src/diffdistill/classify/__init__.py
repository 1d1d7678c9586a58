"""The classifier that judges a distilled set: network, augmentation, training."""
