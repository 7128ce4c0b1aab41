"""The perturbation that free adversarial training carries from step to step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.objectives.free_at import FreeAT
from hydra_tf.ops.global_batch import part_of
from hydra_tf.training.batch import Batch
from hydra_tf.training.forward import Pass


@keras.saving.register_keras_serializable(package="hydra_tf")
class CarriedPerturbation(keras.Layer):
    """The perturbation of the last batch, from which the next replay starts.

    A layer, so that it is saved and restored with the model that trains. It
    has as many rows as the largest global batch so far; those that no batch
    has reached are zero. On several replicas each holds all of it: training is
    that of one device.

    Args:
        objective: Whose perturbation it is.
        image_shape: Shape of an image.
        **kwargs: Passed to `keras.Layer`.

    Attributes:
        variables: The perturbation, a float32 variable.
    """

    def __init__(
        self, objective: FreeAT, image_shape: tuple[int, ...], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._objective = objective
        # Not a weight of Keras, whose shape would be fixed before the size of
        # a batch is known.
        self._value = tf.Variable(
            tf.zeros((1, *image_shape)),
            shape=(None, *image_shape),
            trainable=False,
            name="perturbation",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.built = True

    @classmethod
    def of(cls, model: Any) -> CarriedPerturbation | None:
        """Returns what an objective carries on, `None` for nothing.

        Args:
            model: A `hydra_tf.RobustModel`.

        Raises:
            InputError: If the network has no fixed size of images.
        """
        if not isinstance(model.objective, FreeAT):
            return None
        shape = model.network_inputs.image_shape
        if shape is None or None in shape:
            raise InputError(
                "`objective`=FreeAT carries a perturbation on, and needs a "
                "network for images of one size. Received: `network` "
                f"'{model.network.name}' for {shape}"
            )
        return cls(model.objective, shape)  # type: ignore[arg-type]

    @property
    def variables(self) -> list[tf.Variable]:
        return [self._value]

    def replay(self, batch: Batch, update: Callable[..., Pass]) -> Pass:
        """Updates the weights as often as a batch is replayed.

        A loop of Python: replicas cannot talk to each other in one of
        TensorFlow's.

        Args:
            batch: The images of a replica.
            update: Does one update, given the batch, `carried` and `measures`
                as `backward` takes them, and returns its pass.

        Returns:
            The pass of the last replay.
        """
        objective = self._objective
        perturbation = objective.carried(batch.x, self.start(batch))
        for further in reversed(range(objective.n_repeats)):
            done = update(batch, carried=perturbation, measures=not further)
            perturbation = objective.carried(
                batch.x, objective.ascend(perturbation, done.ascent)
            )
        self.keep(batch, perturbation)
        return done

    def start(self, batch: Batch) -> tf.Tensor:
        """Returns the perturbation that the images of a batch start from.

        Args:
            batch: The images of a replica.
        """
        rows = tf.shape(batch.x)[0]
        rows = part_of(rows).first + tf.range(rows)
        # One more row, of zeros, for those that are not known.
        known = tf.pad(
            self._value, [[0, 1], *[[0, 0]] * (len(self._value.shape) - 1)]
        )
        return tf.gather(known, tf.minimum(rows, tf.shape(known)[0] - 1))

    def keep(self, batch: Batch, perturbation: tf.Tensor) -> None:
        """Takes note of where the last replay of a batch ended.

        Args:
            batch: The images of a replica.
            perturbation: Theirs.
        """
        perturbation = perturbation[: batch.rows]
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            perturbation = replica.all_gather(perturbation, axis=0)
        # A batch may be smaller than others: an epoch's last one.
        rest = tf.convert_to_tensor(self._value)[tf.shape(perturbation)[0] :]
        self._value.assign(tf.concat([perturbation, rest], axis=0))

    def save_own_variables(self, store: Any) -> None:
        store["perturbation"] = np.asarray(self._value)

    def load_own_variables(self, store: Any) -> None:
        self._value.assign(np.asarray(store["perturbation"]))
