"""What training minimises: an attack, then a loss over what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import fold_seed

# The stream of a step's seed from which its loss draws. Attacks draw from the
# seed itself and from the streams that they number from 0.
_LOSS_STREAM = 2**31 - 1


@keras.saving.register_keras_serializable(package="hydra_tf")
class Objective:
    """Base of the objectives; by itself, cross-entropy on perturbed images.

    An objective is an attack (`perturb`) and a loss (`loss_terms`, whose sum is
    `loss`). A subclass overrides what it changes. It keeps each constructor
    argument in an attribute of the same name, from which `get_config` reads
    them; registered with `keras.saving.register_keras_serializable` it can be
    saved within a model.

    `loss` and `loss_terms` may have the arguments `epoch` and `seed`, which are
    passed if their signature names them.

    Example:
        ```python
        class Averaged(Objective):
            '''Cross-entropy on the natural and the perturbed images.'''

            def __init__(self, epsilon=8 / 255):
                self.epsilon = epsilon

            def perturb(self, model, x, y):
                return fgsm(model, x, y, epsilon=self.epsilon)

            def loss(self, model, x, y, perturbed, training=True):
                natural = cross_entropy(model(x, training=training), y)
                robust = cross_entropy(model(perturbed, training=training), y)
                return tf.reduce_mean(natural + robust) / 2
        ```

    Attributes:
        term_names: Names of the terms of `loss_terms` that training logs one
            by one (a class attribute).
        figure_names: Names of what `record_figures` reports beside the loss
            (a class attribute).
        perturbs: Whether `perturb` attacks, so that accuracy on its images is
            worth a log as `robust_accuracy` (a class attribute).
    """

    term_names: tuple[str, ...] = ()
    figure_names: tuple[str, ...] = ()
    perturbs: bool = True

    def check_network(self, network: keras.Model) -> None:
        """Raises `InputError` if the objective cannot train a network.

        `RobustModel` asks when it is made; here, any network will do.

        Args:
            network: Keras model from images to logits.
        """

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
    ) -> tf.Tensor:
        """Returns the images that `loss` shall take as perturbed; here, `x`.

        A subclass whose perturbations are not random may leave `seed` out.

        Args:
            model: Keras model, or any callable from images to logits.
            x: Float32 images of shape `(batch, ...)` in [0, 1].
            y: Integer labels, shape `(batch,)` or `(batch, 1)`.
            seed: None for fresh noise at every call; an integer or an int32
                tensor of shape `(2,)` for noise that only depends on it.
        """
        return x

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        """Returns the weighted terms whose sum is the loss.

        A subclass adds the arguments `epoch=None` and `seed=None` of `loss` if
        it reads them.

        Args:
            model: Keras model, or any callable from images to logits.
            x: Float32 images of shape `(batch, ...)` in [0, 1].
            y: Integer labels, shape `(batch,)` or `(batch, 1)`.
            perturbed: What `perturb` returned for them.
            training: Whether the forward passes are passes of training.

        Returns:
            Float32 scalars, means over the batch, by name.
        """
        logits = call_model(model, perturbed, training)
        return {"cross_entropy": tf.reduce_mean(cross_entropy(logits, y))}

    def loss(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
        epoch: Any = None,
        seed: Seed = None,
    ) -> tf.Tensor:
        """Returns the mean loss over the batch, a float32 scalar.

        A model that has a method `record_terms` is given the terms, for its
        logs. A subclass may leave `epoch` and `seed` out.

        Args:
            model: As for `loss_terms`.
            x: As for `loss_terms`.
            y: As for `loss_terms`.
            perturbed: As for `loss_terms`.
            training: As for `loss_terms`.
            epoch: Float32 scalar, epochs done, a fraction within an epoch; None
                stands for the end of every schedule, as in evaluation.
            seed: As for `perturb`, but another one.
        """
        terms = call_with_known(
            self.loss_terms,
            model,
            x,
            y,
            perturbed,
            training=training,
            optional={"epoch": epoch, "seed": seed},
        )
        record_terms = getattr(model, "record_terms", None)
        if record_terms is not None:
            record_terms(terms)
        return tf.add_n(list(terms.values()))

    def __call__(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        training: bool = True,
        seed: Seed = None,
        epoch: Any = None,
    ) -> tf.Tensor:
        """Perturbs the images and returns the loss."""
        perturbed = call_perturb(self, model, x, y, seed=seed)
        return call_loss(
            self,
            model,
            x,
            y,
            perturbed,
            training=training,
            epoch=epoch,
            seed=seed,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments by name."""
        return {name: getattr(self, name) for name in setting_names(type(self))}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """Returns the objective that `get_config` describes."""
        # Of objects, such as schedules, a file holds the configurations.
        settings = {
            name: keras.saving.deserialize_keras_object(value)
            if isinstance(value, dict) and "class_name" in value
            else value
            for name, value in config.items()
        }
        return cls(**settings)

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def call_perturb(
    objective: Any,
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor,
    seed: Seed = None,
) -> tf.Tensor:
    """Returns `objective.perturb(model, x, y)`, with the seed if it takes one.

    Args:
        objective: An `Objective`, or any object with a method `perturb`.
        model: Keras model, or any callable from images to logits.
        x: Float32 images of shape `(batch, ...)` in [0, 1].
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.
        seed: Passed on if `perturb` has an argument of that name.
    """
    return call_with_known(
        objective.perturb, model, x, y, optional={"seed": seed}
    )


def call_loss(
    objective: Any,
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor,
    perturbed: tf.Tensor,
    training: bool = True,
    epoch: Any = None,
    seed: Seed = None,
) -> tf.Tensor:
    """Returns `objective.loss(...)`, with epoch and seed if it takes them.

    Args:
        objective: An `Objective`, or any object with a method `loss`.
        model: Keras model, or any callable from images to logits.
        x: Float32 images of shape `(batch, ...)` in [0, 1].
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.
        perturbed: What `call_perturb` returned for them.
        training: Whether the forward passes are passes of training.
        epoch: Float32 scalar, or None: the end of every schedule.
        seed: The one that `call_perturb` was given; the loss gets a stream of
            its own.
    """
    return call_with_known(
        objective.loss,
        model,
        x,
        y,
        perturbed,
        training=training,
        optional={
            "epoch": epoch,
            "seed": fold_seed(as_seed(seed), _LOSS_STREAM),
        },
    )


def call_with_known(
    function: Callable[..., Any],
    *args: Any,
    optional: dict[str, Any],
    **kwargs: Any,
) -> Any:
    """Returns `function(*args, **kwargs)` with optional arguments it names.

    Args:
        function: Callable with a signature.
        *args: Its arguments by position.
        optional: Arguments that are left out unless the signature names them.
        **kwargs: Its arguments by name.
    """
    known = {
        name: value
        for name, value in optional.items()
        if accepts_argument(function, name)
    }
    return function(*args, **kwargs, **known)


def record_figures(model: Model, figures: dict[str, Any]) -> None:
    """Gives figures for the logs to a model that has a method for them.

    Args:
        model: What the objective's `loss` was given.
        figures: By the names in `figure_names`. A scalar is logged as it is,
            an epoch's last one for the epoch. A pair of scalars is a mean over
            images and its weight, the share of the batch that it speaks for;
            the mean over the epoch is logged.
    """
    record = getattr(model, "record_figures", None)
    if record is not None:
        record(figures)


def setting_names(objective_class: type) -> list[str]:
    """Returns the names of the arguments that a class's constructor takes.

    Where a constructor has `**kwargs`, those of its parent class are added.
    """
    names: list[str] = []
    for cls in objective_class.__mro__:
        constructor = vars(cls).get("__init__")
        if constructor is None or cls is object:
            continue
        parameters = list(inspect.signature(constructor).parameters.values())
        names += [
            parameter.name
            for parameter in parameters[1:]  # Without self.
            if parameter.kind
            not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            and parameter.name not in names
        ]
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            break
    return names
