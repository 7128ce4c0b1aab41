"""TensorFlow Model Optimization's magnitude pruning, trained adversarially.

What a TensorFlow user has without this library: a copy of the network in
`tf_keras`, wrapped by `tfmot.sparsity.keras.prune_low_magnitude`, in a training
loop of his own. Objective, optimiser and batches are this library's, so that
what differs is how the weights to keep are chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import graph
from hydra_tf.objectives.base import loss_seed

# Two programs of the same network round differently.
_TOLERANCE = 1e-4


def prune(
    network: keras.Model,
    objective: ht.objectives.Objective,
    train: Any,
    *,
    density: float,
    ramp_epochs: int,
    epochs: int,
    optimizer: keras.optimizers.Optimizer,
    allocation: str = "uniform",
    seed: int = 0,
) -> keras.Model:
    """Returns the network, pruned and trained by TFMOT.

    The sparsity of every layer grows from 0 by TFMOT's `PolynomialDecay` with
    an update of the masks at each epoch's end, then stays.

    Args:
        network: A built Functional or Sequential model, which stays as it is.
        objective: What is trained, attack included.
        train: What `ht.data.load` returns.
        density: Fraction of the weights that are kept.
        ramp_epochs: Integer >= 1, epochs in which the sparsity grows.
        epochs: Integer >= `ramp_epochs`, all epochs.
        optimizer: Optimiser.
        allocation: How the density is split over the layers, a name of
            `hydra_tf.pruning.allocation`, by the weights to begin with.
        seed: Integer >= 0, of the attacks of training.

    Raises:
        RuntimeError: If a copy between Keras and `tf_keras` computes something
            else.
    """
    from tensorflow_model_optimization.sparsity import keras as tfmot

    steps = train.steps_per_epoch
    densities = _densities(network, density, allocation)

    def wrapped(layer: Any) -> Any:
        if layer.name not in densities:
            return layer
        schedule = tfmot.PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=1.0 - densities[layer.name],
            begin_step=0,
            end_step=ramp_epochs * steps,
            frequency=steps,
        )
        return tfmot.prune_low_magnitude(layer, schedule)

    pruned = _wrapped(copy_of(network), wrapped)
    callback = tfmot.UpdatePruningStep()
    callback.set_model(pruned)
    callback.on_train_begin()
    train_step = _train_step(pruned, objective, optimizer, seed)
    for step, (images, labels) in enumerate(train.dataset(num_epochs=epochs)):
        train_step(images, labels)
        if (step + 1) % steps == 0:
            callback.on_epoch_end(batch=-1)
    stripped = tfmot.strip_pruning(pruned)
    result = keras.models.clone_model(network)
    for layer in stripped.layers:
        if layer.weights:
            result.get_layer(layer.name).set_weights(layer.get_weights())
    _check_same(stripped, result)
    return result


def _densities(
    network: keras.Model, density: float, allocation: str
) -> dict[str, float]:
    """Returns the density of each layer that is pruned."""
    masked = ht.to_masked(network)
    ht.init_scores(masked)
    return ht.pruning.allocation.allocate(masked, density, allocation)


def _wrapped(copied: Any, wrap: Callable[[Any], Any]) -> Any:
    """Returns a `tf_keras` model with some layers wrapped, weights included."""
    import tf_keras

    wrapped = tf_keras.models.clone_model(copied, clone_function=wrap)
    _check_same(copied, wrapped)
    return wrapped


def copy_of(network: keras.Model) -> Any:
    """Returns a `tf_keras` model with a network's layers and weights.

    Args:
        network: A built Functional or Sequential model of layers that
            `tf_keras` has, too.

    Raises:
        RuntimeError: If it computes something else.
    """
    import tf_keras

    walk = graph.walk(network)
    image = tf_keras.Input(walk.inputs[0].shape[1:])
    tensors = {walk.inputs[0].number: image}
    for call in walk.calls:
        layer = call.operation
        kind = getattr(tf_keras.layers, type(layer).__name__)
        # Initialisers and dtype policies are written differently, and not
        # needed here.
        config = {
            name: value
            for name, value in layer.get_config().items()
            if value is not None and not isinstance(value, dict)
        }
        args, _ = call.arguments(tensors)
        made = kind.from_config(config)
        tensors[call.outputs[0].number] = made(*args)
        made.set_weights(layer.get_weights())
    copied = tf_keras.Model(image, tensors[walk.outputs[0].number])
    _check_same(network, copied)
    return copied


def _train_step(
    pruned: Any,
    objective: ht.objectives.Objective,
    optimizer: keras.optimizers.Optimizer,
    seed: int,
) -> Any:
    """Returns the function that trains on a batch."""
    wrapped = [each for each in pruned.layers if hasattr(each, "pruning_step")]
    variables = pruned.trainable_variables
    optimizer.build(variables)

    def network(x, training=False):
        return pruned(x, training=training)

    @tf.function(autograph=False)
    def train_step(x, y):
        y = tf.cast(y, tf.int32)
        step = tf.convert_to_tensor(optimizer.iterations)
        # TFMOT counts passes, of which some objectives make two in a step.
        for layer in wrapped:
            layer.pruning_step.assign(tf.cast(step, tf.int64))
        noise = tf.stack([seed, tf.cast(step, tf.int32)])
        perturbed = objective.perturb(network, x, y, seed=noise)
        with tf.GradientTape() as tape:
            loss = objective.losses(
                network, x, y, perturbed, seed=loss_seed(noise)
            ).value
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    return train_step


def _check_same(one: Any, other: Any) -> None:
    """Raises `RuntimeError` unless two networks compute the same logits."""
    images = tf.random.stateless_uniform((16, *one.input_shape[1:]), (0, 0))
    difference = tf.reduce_max(
        tf.abs(one(images, training=False) - other(images, training=False))
    )
    if not difference < _TOLERANCE:
        raise RuntimeError(
            f"the copy of {one.name!r} computes other logits, by {difference}"
        )
