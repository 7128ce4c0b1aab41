"""A Keras model that trains a network under a robust objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers import reuse_effective_kernels
from hydra_tf.layers.masked_layer import find_masked
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import call_perturb

# Second half of the seed of evaluation's noise; training counts its steps
# there, which stay far below.
_EVALUATION_STREAM = 2**30


@keras.saving.register_keras_serializable(package="hydra_tf")
class RobustModel(keras.Model):
    """Trains and evaluates a network under a robust objective.

    `compile`, `fit`, `evaluate` and `predict` work as for any Keras model;
    the loss comes from the objective. Both `fit` and `evaluate` report
    `loss`, its terms, `natural_accuracy`, and `robust_accuracy` on the
    perturbed images.

    In a step, masks and effective kernels of masked layers are computed once,
    for the attack and the loss together. The attack runs in inference mode;
    then the natural and the adversarial batch each pass in training mode. The
    noise of an attack depends on `seed` and the optimiser's step alone, so a
    run that goes on from a checkpoint draws what it would have drawn. In the
    finetune phase pruned weights stay as they are if the optimiser can freeze
    them (those of `hydra_tf.training` can).

    Args:
        network: Keras model from images to logits. Call `ht.set_phase` on it
            before `compile`.
        objective: A `hydra_tf.objectives.Objective`, for instance `TRADES()`.
        attack: Callable `(model, images, labels) -> images` for `evaluate`;
            by default the objective's own `perturb`.
        seed: Integer from 0 to 2**31 - 1.

    Example:
        ```python
        network = ht.to_masked(pretrained)
        ht.set_density(network, 0.1)
        ht.set_phase(network, "prune")
        robust = ht.RobustModel(network, ht.objectives.TRADES())
        robust.compile(optimizer=ht.training.SGD(0.1, momentum=0.9))
        robust.fit(images, labels, batch_size=128, epochs=20)
        ```

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), equation 3
    """

    def __init__(
        self,
        network: keras.Model,
        objective: Objective,
        *,
        attack: Callable[..., Any] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for method in ("perturb", "loss"):
            if not callable(getattr(objective, method, None)):
                raise InputError(
                    "`objective` must have the methods `perturb` and `loss` "
                    "(derive it from hydra_tf.objectives.Objective). "
                    f"Received: {objective!r}"
                )
        if not 0 <= seed < 2**31:
            raise InputError(
                f"`seed` must be from 0 to 2**31 - 1. Received: seed={seed}"
            )
        self.network = network
        self.objective = objective
        self.attack = attack
        self.seed = seed
        self._means = {
            name: keras.metrics.Mean(name=name)
            for name in (
                "loss",
                *getattr(objective, "term_names", ()),
                "natural_accuracy",
                "robust_accuracy",
            )
        }
        self.built = network.built

    def build(self, input_shape: Any) -> None:
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, training=training)

    def compile(
        self,
        optimizer: Any = "sgd",
        *,
        loss: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures training, as `keras.Model.compile`.

        Args:
            optimizer: Keras optimiser, or its name.
            loss: Must be `None`: the objective is the loss.
            jit_compile: `"auto"` is on where there is a GPU and off on CPU,
                where XLA is several times slower.
            **kwargs: The other arguments of `keras.Model.compile`; `metrics`
                are computed on the natural images.
        """
        if loss is not None:
            raise InputError(
                "`loss` comes from the objective: leave it out of compile()"
            )
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.freeze_pruned_weights()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        config = keras.saving.deserialize_keras_object(config)
        config.pop("loss", None)
        config.pop("loss_weights", None)
        self.compile(**config)
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def freeze_pruned_weights(self) -> None:
        """Tells the optimiser which weights of the finetune phase are pruned.

        `compile` does this. Call it again when masks have changed since, so
        that weights pruned anew lose their momentum.
        """
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if hasattr(optimizer, "set_masks"):
            optimizer.set_masks(
                (layer.kernel, layer.stored_mask)
                for layer in find_masked(self.network)
                if layer.phase == "finetune"
            )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """This model's means, and the metrics given to `compile`."""
        own = list(self._means.values())
        # Keras keeps a mean loss of its own, which stays unused.
        return own + [
            metric
            for metric in super().metrics
            if metric.name != "loss" and all(metric is not m for m in own)
        ]

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = _images_and_labels(data)
        seed = tf.stack(
            [self.seed, tf.cast(self.optimizer.iterations.value, tf.int32)]
        )
        with tf.GradientTape() as tape, reuse_effective_kernels(self.network):
            # The attack has tapes of its own; this one only has to reach the
            # weights through the loss.
            with tape.stop_recording():
                perturbed = call_perturb(
                    self.objective, self.network, x, y, seed=seed
                )
            view = _RecordingView(self.network, x, perturbed)
            loss = self.objective.loss(view, x, y, perturbed, training=True)
            loss += self._regularization()
            # Gradients are summed over replicas.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss(loss / replicas)
            with tape.stop_recording():
                natural, robust = view.all_logits()
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._update(x, y, loss, view.terms, natural, robust)

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = _images_and_labels(data)
        seed = tf.constant([self.seed, _EVALUATION_STREAM], tf.int32)
        with reuse_effective_kernels(self.network):
            if self.attack is None:
                perturbed = call_perturb(
                    self.objective, self.network, x, y, seed=seed
                )
            else:
                perturbed = self.attack(self.network, x, y)
            view = _RecordingView(self.network, x, perturbed)
            loss = self.objective.loss(view, x, y, perturbed, training=False)
            loss += self._regularization()
            natural, robust = view.all_logits()
        return self._update(x, y, loss, view.terms, natural, robust)

    def _regularization(self) -> tf.Tensor:
        """The kernels' and biases' regularisers."""
        penalties = [
            variable.regularizer(variable)
            for variable in self.trainable_variables
            if getattr(variable, "regularizer", None) is not None
        ]
        return tf.add_n(penalties) if penalties else tf.zeros([])

    def _update(
        self,
        x: tf.Tensor,
        y: tf.Tensor,
        loss: tf.Tensor,
        terms: dict[str, tf.Tensor],
        natural: tf.Tensor,
        robust: tf.Tensor,
    ) -> dict[str, Any]:
        values = {
            "loss": loss,
            **{name: terms[name] for name in terms if name in self._means},
            "natural_accuracy": _accuracy(natural, y),
            "robust_accuracy": _accuracy(robust, y),
        }
        weight = tf.shape(x)[0]
        for name, value in values.items():
            self._means[name].update_state(value, sample_weight=weight)
        logs = {name: self._means[name].result() for name in values}
        custom = self.compute_metrics(x, y, natural)
        custom.pop("loss", None)
        return {**custom, **logs}

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        if self._compile_metrics is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)
            return self._compile_metrics.result()
        return {}

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "network": serialize(self.network),
            "objective": serialize(self.objective),
            "attack": None if self.attack is None else serialize(self.attack),
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> RobustModel:
        config = dict(config)
        for key in ("network", "objective", "attack"):
            if config[key] is not None:
                config[key] = keras.saving.deserialize_keras_object(
                    config[key], custom_objects=custom_objects
                )
        return cls(**config)


class _RecordingView:
    """A network as an objective's loss sees it, which notes what passes by.

    The logits of the natural and of the perturbed images serve the accuracies,
    the terms of the loss the logs; neither then needs a second forward pass.
    """

    def __init__(
        self, network: keras.Model, x: tf.Tensor, perturbed: tf.Tensor
    ) -> None:
        self._network = network
        self._x = x
        self._perturbed = perturbed
        self._logits: dict[int, tf.Tensor] = {}
        self.terms: dict[str, tf.Tensor] = {}

    def __call__(self, images: Any, training: bool | None = None) -> Any:
        logits = self._network(images, training=training)
        if images is self._x or images is self._perturbed:
            self._logits[id(images)] = logits
        return logits

    def record_terms(self, terms: dict[str, tf.Tensor]) -> None:
        """Notes the weighted terms of the loss."""
        self.terms = dict(terms)

    def all_logits(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Natural and robust logits, computed now where the loss did not."""
        for images in (self._x, self._perturbed):
            if id(images) not in self._logits:
                self._logits[id(images)] = self._network(images, training=False)
        return self._logits[id(self._x)], self._logits[id(self._perturbed)]


def _images_and_labels(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        raise InputError("training a robust model needs labels: pass `y`")
    if sample_weight is not None:
        raise InputError(
            "`sample_weight` and `class_weight` are not supported: objectives "
            "are means over the batch"
        )
    return tf.convert_to_tensor(x), tf.reshape(tf.cast(y, tf.int32), [-1])


def _accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(tf.equal(predicted, labels), tf.float32))
