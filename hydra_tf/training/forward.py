"""A pass of a step: attack, loss, gradients, logits for accuracies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers import reuse_effective_kernels
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import loss_seed
from hydra_tf.objectives.loss import Loss
from hydra_tf.training.attacking import attacked
from hydra_tf.training.batch import Batch
from hydra_tf.training.warm_start import WarmStart


class Pass(NamedTuple):
    """A forward and backward pass of a training step.

    Attributes:
        perturbed: The perturbed images.
        loss: The objective's loss.
        total: Its sum with all other losses.
        logits: Those of `logits_of`.
        gradients: Of the network's trainable variables, the share of this
            replica.
    """

    perturbed: tf.Tensor
    loss: Loss
    total: tf.Tensor
    logits: dict[str, tf.Tensor]
    gradients: list[Any]


def backward(
    network: keras.Model,
    objective: Objective,
    optimizer: keras.Optimizer,
    batch: Batch,
    perturbed: tf.Tensor | None = None,
    *,
    epoch: tf.Tensor,
    seed: tf.Tensor,
    penalty: Callable[[], tf.Tensor] | None = None,
    warm_start: WarmStart | None = None,
) -> Pass:
    """Attacks a batch, and returns its loss with the gradients.

    Masks and effective kernels are computed once, for attack and loss together.

    Args:
        network: The network.
        objective: What is minimised.
        optimizer: Which scales the loss.
        batch: Images and labels.
        perturbed: The images that the attack made in an earlier pass.
        epoch: Where training is.
        seed: Of the step's noise.
        penalty: Function that returns what the loss has added to it.
        warm_start: Where the attack starts, if not where the objective does.
    """
    with tf.GradientTape() as tape, reuse_effective_kernels(network):
        # The attack has tapes of its own; this one only has to reach the
        # weights through the loss.
        with tape.stop_recording():
            if perturbed is None:
                perturbed = attacked(
                    objective, network, batch, seed, epoch, warm_start
                )
        loss, total = loss_and_total(
            network,
            objective,
            batch,
            perturbed,
            training=True,
            epoch=epoch,
            seed=seed,
        )
        if penalty is not None:
            total += penalty()
        # Gradients are summed over replicas.
        scaled = optimizer.scale_loss(total * batch.share)
        with tape.stop_recording():
            logits = logits_of(
                network, loss, batch.x, perturbed, objective.perturbs
            )
    gradients = tape.gradient(scaled, network.trainable_variables)
    return Pass(perturbed, loss, total, logits, gradients)


def loss_and_total(
    network: keras.Model,
    objective: Objective,
    batch: Batch,
    perturbed: tf.Tensor,
    *,
    training: bool,
    epoch: tf.Tensor | None,
    seed: tf.Tensor,
) -> tuple[Loss, tf.Tensor]:
    """Returns an objective's loss, and its sum with the network's own losses.

    Args:
        network: The network.
        objective: The objective.
        batch: Images and labels.
        perturbed: The images, perturbed by it.
        training: Whether this is training.
        epoch: Where training is, `None` for the end of all schedules.
        seed: Of the step's noise.
    """
    loss = objective.losses(
        network,
        batch.x,
        batch.y,
        perturbed,
        training=training,
        epoch=epoch,
        seed=loss_seed(seed),
    )
    value = tf.convert_to_tensor(loss.value)
    if value.shape.rank != 0:
        raise InputError(
            "the objective's `loss` must return a scalar, the mean over "
            f"the batch. Received: shape={value.shape}"
        )
    # Those of regularisers and layers, of the last forward pass.
    every = [value, *network.losses]
    return loss, tf.add_n([tf.cast(each, tf.float32) for each in every])


def logits_of(
    network: keras.Model,
    loss: Loss,
    x: tf.Tensor,
    perturbed: tf.Tensor,
    is_attacked: bool,
) -> dict[str, tf.Tensor]:
    """Returns the logits for accuracies, computed now if the loss did not.

    Args:
        network: The network.
        loss: What an objective has computed already.
        x: Natural images.
        perturbed: Perturbed images, or `x` itself.
        is_attacked: Whether those are reported.
    """
    natural, robust = loss.natural_logits, loss.robust_logits
    is_same = perturbed is x  # As of objectives that attack nothing.
    if natural is None:
        natural = robust if is_same else None
    if natural is None:
        natural = network(x, training=False)
    if not is_attacked:
        return {"natural": natural}
    if robust is None:
        robust = natural if is_same else network(perturbed, training=False)
    return {"natural": natural, "robust": robust}
