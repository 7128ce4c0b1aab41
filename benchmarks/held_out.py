"""Training images that are split, as data sets: to choose without test images.

`--dataset=benchmarks.held_out:digits` trains on four fifths of the training
images and measures on the others.
"""

from __future__ import annotations

from typing import Any


def digits() -> Any:
    """Returns the parts of the digits' training images."""
    return _parts("digits")


def cifar10() -> Any:
    """Returns the parts of CIFAR-10's training images."""
    return _parts("cifar10")


def _parts(dataset: str) -> Any:
    import hydra_tf as ht

    train = ht.data.load(dataset, "train", batch_size=128)
    return ht.data.split_validation(train, 0.2, seed=0)
