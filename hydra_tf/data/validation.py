"""Holding a part of the training images out, to watch the training by."""

from __future__ import annotations

import numpy as np

from hydra_tf.data import selection
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.errors import InputError
from hydra_tf.registry.training import SEED
from hydra_tf.registry.training import VALIDATION_FRACTION


def split_validation(
    train: Pipeline, validation_fraction: float, *, seed: int | None = None
) -> tuple[Pipeline, Pipeline]:
    """Splits training images into those that train and those that validate.

    No image is in both. Those to validate keep the classes' shares and come as
    they are stored, neither shuffled nor augmented. Of a dataset that is read
    from its files, they are a run of the files, as for `fraction` of
    `hydra_tf.data.load`.

    Args:
        train: The training images.
        validation_fraction: Float in (0, 1), the share to validate by, rounded
            up to whole images.
        seed: Integer >= 0 that the selection follows from. By default that of
            `train`.

    Returns:
        Two pipelines: of the images that train, batched, shuffled and
        augmented as before, and of those to validate.

    Raises:
        InputError: If an argument is out of range, or nothing would be left to
            train on.

    Example:

    >>> from hydra_tf import data
    >>> whole = data.from_arrays(
    ...     np.zeros((20, 8, 8, 1)), np.arange(20) % 2, batch_size=4)
    >>> train, validation = split_validation(whole, 0.2)
    >>> len(train), len(validation), validation.arrays()[1].tolist()
    (16, 4, [1, 0, 0, 1])
    """
    if not isinstance(train, Pipeline):
        raise InputError(
            "`train` must be a hydra_tf.data.Pipeline; make one of arrays with "
            f"hydra_tf.data.from_arrays. Received: {type(train).__name__}"
        )
    if not VALIDATION_FRACTION.check(validation_fraction):
        raise InputError(
            "`validation_fraction` must be above 0: it is the share of the "
            "images to validate by. Received: "
            f"validation_fraction={validation_fraction!r}"
        )
    seed = train.seed if seed is None else SEED.check(seed)
    labels = train.known_labels()
    if labels is None:
        runs = selection.select_run(len(train), validation_fraction, seed)
        held_out = np.concatenate([np.arange(len(train))[run] for run in runs])
    else:
        held_out = selection.select_fraction(labels, validation_fraction, seed)
    rest = train.subset(np.setdiff1d(np.arange(len(train)), held_out))
    if len(rest) < train.batch_size:
        raise InputError(
            f"`validation_fraction`={validation_fraction:g} of {len(train)} "
            f"images leaves {len(rest)} to train on, less than "
            f"`batch_size`={train.batch_size}; take a smaller one"
        )
    return rest, train.subset(held_out, training=False)
