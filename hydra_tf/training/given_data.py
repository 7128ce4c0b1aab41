"""What `fit` and `evaluate` are given: checked, labels beside images."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.logits import shows_its_end
from hydra_tf.attacks.suspicions import check_are_logits
from hydra_tf.attacks.units import are_bytes
from hydra_tf.attacks.units import check_units
from hydra_tf.attacks.units import hold_bytes
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import check_labels
from hydra_tf.objectives.base import radii_of
from hydra_tf.training.batch import labelled
from hydra_tf.training.batch import no_labels
from hydra_tf.training.epoch_clock import check_length
from hydra_tf.training.network_inputs import NetworkInputs

# Images that show what a network returns.
_FEW = 8


def fit_arguments(model: Any, x: Any, y: Any, others: dict[str, Any]) -> Any:
    """Checks what `fit` is given, and returns its `x` with labels beside.

    Args:
        model: The `hydra_tf.RobustModel`.
        x: The argument.
        y: The same.
        others: The other arguments by name, of which those of validation are
            replaced likewise.
    """
    x = as_labelled(x)
    validation = others.get("validation_data")
    if isinstance(validation, tf.data.Dataset):
        others["validation_data"] = validation = as_labelled(validation)
    if model.checks_data:
        check_length(x, others.get("steps_per_epoch"), model.objective)
        pairs = validation
        if not isinstance(pairs, tuple | list):
            pairs = (validation,)
        for images, *labels in ((x, y), pairs):
            check_data(
                model.network,
                model.objective,
                images,
                labels[0] if labels else None,
                network_inputs=model.network_inputs,
            )
    return x


def as_labelled(x: Any) -> Any:
    """Returns dictionaries, one after another, as inputs, labels and weights.

    Args:
        x: What `fit` was given; what is neither a dataset of dictionaries nor
            a generator is returned as it is.
    """
    if inspect.isgenerator(x):
        return (
            _parts(each) if isinstance(each, Mapping) else each for each in x
        )
    if not isinstance(x, tf.data.Dataset) or not isinstance(
        x.element_spec, Mapping
    ):
        return x
    _parts(x.element_spec)
    return x.map(_parts, num_parallel_calls=tf.data.AUTOTUNE)


@tf.autograph.experimental.do_not_convert
def _parts(batch: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns inputs, labels and, if there are some, weights."""
    x, y, weights = labelled(batch)
    if y is None:
        raise no_labels(x)
    return (x, y) if weights is None else (x, y, weights)


def check_data(
    network: keras.Model,
    objective: Objective,
    x: Any,
    y: Any = None,
    name: str = "x",
    network_inputs: NetworkInputs | None = None,
) -> None:
    """Raises `InputError` if images or labels cannot be what is meant.

    Of arrays all are looked at; of a `tf.data.Dataset` and a Keras `PyDataset`
    the first batch; of generators none. Within a step wrong values would train
    on, or fail with a text about operations.

    Args:
        network: Keras model from images to logits.
        objective: Whose `clip` the images lie within.
        x: What the user passed to `fit` or `evaluate`.
        y: The same.
        name: The argument that a dataset was given as.
        network_inputs: What the network takes, by default one input.
    """
    names = ("x", "y")
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch(x, name))
        names = (f"images of {name}", f"labels of {name}")
    takes = network_inputs or NetworkInputs(network)
    x, y, _ = labelled(x, y)
    others = None
    if isinstance(x, Mapping | list | tuple) and all(
        _is_array(each) for each in keras.tree.flatten(x)
    ):
        x, others = takes.select(x)
    if _is_array(x):
        clip = objective.clip
        if hold_bytes(x):
            check_units(
                network, clip, radii_of(objective), image=takes.position
            )
        inputs.check_images(
            x,
            names[0],
            clip=clip,
            shape=takes.image_shape,
            takes_clip=True,
            # Of 0..255; in [0, 1] they would be a mistake.
            takes_integers=are_bytes(clip),
        )
        _check_logits(network, takes, x, others)
    if _is_array(y):
        check_labels(
            objective,
            network,
            x if _is_array(x) else None,
            y,
            names[1],
            whole_floats=True,
        )


def _first_batch(batches: Any, name: str) -> Any:
    if isinstance(batches, keras.utils.PyDataset):
        return batches[0]
    for batch in batches:
        return batch
    raise InputError(f"`{name}` must hold one batch or more. Received: none")


def _check_logits(
    network: keras.Model,
    takes: NetworkInputs,
    x: Any,
    others: dict[str, Any] | None,
) -> None:
    """Raises `InputError` if a network's end hides that it is a softmax."""
    if (
        not network.built
        or tf.distribute.has_strategy()
        or shows_its_end(network)
    ):
        return
    few = tf.cast(tf.convert_to_tensor(x[:_FEW]), tf.float32)
    if others is not None:
        others = {name: each[:_FEW] for name, each in others.items()}
    outputs = takes.attacked(others)(few, training=False)
    if tf.is_tensor(outputs):
        check_are_logits(np.asarray(outputs), "`network`")


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or tf.is_tensor(value)
