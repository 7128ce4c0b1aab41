"""What `RobustModel` accepts as its arguments."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.logits import check_has_no_softmax
from hydra_tf.attacks.logits import check_has_one_output
from hydra_tf.attacks.units import check_image_dtype
from hydra_tf.attacks.units import check_units
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import check_objective
from hydra_tf.objectives.base import radii_of
from hydra_tf.registry.training import SEED
from hydra_tf.registry.training import WEIGHT_AVERAGING
from hydra_tf.training.harp import Compression
from hydra_tf.training.network_inputs import NetworkInputs
from hydra_tf.training.perturbation import Perturbation


def check_network(network: Any) -> None:
    """Raises `InputError` unless a value is a model or layer.

    Args:
        network: The argument `network`.
    """
    if not isinstance(network, keras.Layer):
        raise InputError(
            "`network` must be a Keras model from images to logits. "
            f"Received: {network!r}"
        )
    if isinstance(getattr(network, "objective", None), Objective):
        raise InputError(
            "`network` is a RobustModel already: pass its `network`. "
            f"Received: {network.name!r}"
        )


def check_arguments(
    network: keras.Model,
    objective: Any,
    attack: Any,
    seed: Any,
    compression: Any,
    network_inputs: NetworkInputs | None = None,
) -> None:
    """Raises `InputError` for the first argument that is wrong.

    Args:
        network: A Keras model; see `RobustModel` for all of them.
        objective: See there.
        attack: See there.
        seed: See there.
        compression: See there.
        network_inputs: What the network takes, by default one input.
    """
    network_inputs = network_inputs or NetworkInputs(network)
    if network_inputs.are_several:
        check_has_one_output(network, "`network`")
        check_has_no_softmax(network, "`network`")
    else:
        check_ends_in_logits(network, "`network`")
    _check_scope(network)
    # Keras raises AttributeError where a model is not built.
    inputs.check_logits(getattr(network, "output_shape", None), "network")
    check_objective(objective)
    if isinstance(attack, type) and issubclass(attack, Objective):
        check_objective(attack, "`attack`")
    if not (attack is None or callable(attack)):
        raise InputError(
            "`attack` must be an objective, or a callable "
            f"(model, images, labels) -> images. Received: {attack!r}"
        )
    SEED.check(seed)
    if not (compression is None or isinstance(compression, Compression)):
        raise InputError(
            "`compression` must be a hydra_tf.training.Compression. "
            f"Received: {compression!r}"
        )
    if network_inputs.are_several and getattr(objective, "needs_bounds", False):
        raise InputError(
            "`attacked_input` is for a network of several inputs, and "
            "`objective` bounds those of one: train by an attack. Received: "
            f"{objective!r}"
        )
    objective.check_network(network)
    if objective.perturbs or attack is not None:
        check_image_dtype(network_inputs.image_dtype, "`network`")
    image = network_inputs.position
    if image is not None or not network_inputs.are_several:
        check_units(
            network,
            objective.clip,
            radii_of(objective),
            strict=False,
            image=image,
        )


def check_weights(weight_averaging: Any, perturbation: Any) -> None:
    """Raises `InputError` if average or perturbation of weights are wrong.

    Args:
        weight_averaging: See `RobustModel`.
        perturbation: See there.
    """
    WEIGHT_AVERAGING.check(weight_averaging)
    if not (perturbation is None or isinstance(perturbation, Perturbation)):
        raise InputError(
            "`perturbation` must be a hydra_tf.training.Perturbation. "
            f"Received: {perturbation!r}"
        )


def check_trains(network: keras.Model) -> None:
    """Raises `InputError` if nothing of a network can train.

    Args:
        network: The network, built.
    """
    if network.built and not network.trainable_variables:
        raise InputError(
            f"nothing of `network` '{network.name}' trains: it has no weights, "
            "or `trainable` is off for all layers that its phase would train"
        )


def _check_scope(network: keras.Model) -> None:
    """Raises `InputError` if a strategy in scope does not know the weights."""
    if not tf.distribute.has_strategy():
        return
    strategy = tf.distribute.get_strategy()
    for variable in network.variables:
        if not strategy.extended.variable_created_in_scope(variable.value):
            raise InputError(
                f"`network` '{network.name}' was made outside of the scope of "
                f"the {type(strategy).__name__}, as its weight "
                f"'{variable.path}' shows: make it, and its masked copy with "
                "hydra_tf.to_masked, inside"
            )


def check_attack_can_be_saved(attack: Any) -> None:
    """Raises `InputError` if a file cannot describe an attack.

    Args:
        attack: The argument `attack`.
    """
    if not (
        attack is None
        or inspect.isfunction(attack)
        or hasattr(attack, "get_config")
    ):
        raise InputError(
            "this `attack` cannot be saved with the model: pass an "
            "objective or a function, or save the weights only. "
            f"Received: attack={attack!r}"
        )
