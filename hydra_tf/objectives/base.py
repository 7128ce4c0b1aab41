"""What training minimises: an attack, then a loss over what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import most_likely
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import fold_seed
from hydra_tf.errors import InputError
from hydra_tf.objectives.loss import Loss
from hydra_tf.ops.rows import weighted_mean
from hydra_tf.registry.calls import check_construction
from hydra_tf.registry.table import settings_of
from hydra_tf.schedules import Schedule

if TYPE_CHECKING:
    from typing_extensions import Self

# The stream of a step's seed from which its loss draws. Attacks draw from the
# seed itself and from the streams that they number from 0.
_LOSS_STREAM = 2**31 - 1


@keras.saving.register_keras_serializable(package="hydra_tf")
class Objective:
    """Base of the objectives; by itself, cross-entropy on perturbed images.

    An objective is an attack, `perturb`, and a loss. A subclass overrides what
    it changes. It writes its loss as a scalar, `loss`, or, with terms and
    figures for the logs, the epoch or a seed, as a `Loss`, `losses`; each
    follows from the other.

    A subclass keeps each constructor argument in an attribute of the same name,
    from which `get_config` reads them; registered with
    `keras.saving.register_keras_serializable` it can be saved within a model.
    Where an objective draws random numbers, `perturb` or `losses` has a keyword
    that takes them instead: `start` or `noise`, and `drawn`. A `perturb` with
    the keyword `start` can be warm-started, and one with `epoch` is told where
    training is, as `losses` is. One whose `losses` has `sample_weight` trains
    with weights of images and classes.

    Example:
        ```python
        class Averaged(Objective):
            '''Cross-entropy on the natural and the perturbed images.'''

            def __init__(self, epsilon=8 / 255):
                self.epsilon = epsilon

            def perturb(self, model, x, y, seed=None):
                return fgsm(model, x, y, epsilon=self.epsilon)

            def loss(self, model, x, y, perturbed, training=True):
                natural = cross_entropy(model(x, training=training), y)
                robust = cross_entropy(model(perturbed, training=training), y)
                return tf.reduce_mean(natural + robust) / 2
        ```

    Attributes:
        term_names: Names of the terms of `losses` that training logs one by
            one (a class attribute).
        figure_names: The same of its figures.
        perturbs: Whether `perturb` attacks, so that accuracy on its images is
            worth a log as `robust_accuracy` (a class attribute); by default,
            whether the class has a `perturb` of its own.
        soft_labels: Whether `perturb` and loss also take labels that are
            distributions over the classes, floats of shape `(batch, classes)`
            (a class attribute). Where one of them is a class's own, False
            unless it says otherwise: it gets one-hot labels as classes, and
            soft ones are refused.
        clip: Least and largest value of a pixel, which images are checked
            against, or `None` for no limits; a class attribute here, and an
            argument of the objectives of this library.
        n_repeats: Updates of the weights in a training step, 1 but for
            `FreeAT` (a class attribute here).
    """

    term_names: tuple[str, ...] = ()
    figure_names: tuple[str, ...] = ()
    perturbs: bool = False
    soft_labels: bool = True
    clip: tuple[float, float] | None = (0.0, 1.0)
    n_repeats: int = 1

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        check_construction(cls, args, settings)
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "perturbs" not in vars(cls):
            # On the images as they are, accuracy would be the natural one.
            cls.perturbs = cls.perturb is not Objective.perturb
        if "soft_labels" not in vars(cls) and {
            "perturb",
            "loss",
            "losses",
        } & set(vars(cls)):
            cls.soft_labels = False
        writer = next(
            each
            for each in cls.__mro__
            if "loss" in vars(each) or "losses" in vars(each)
        )
        if "losses" not in vars(writer):
            cls.losses = _losses_from(writer.loss)  # type: ignore
        elif "loss" not in vars(writer):
            cls.loss = _loss_from(writer.losses)  # type: ignore

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
        """Returns the images that the loss shall take as perturbed; here, `x`.

        Args:
            model: Keras model, or any callable from images to logits.
            x: Float32 images of shape `(batch, ...)` in [0, 1].
            y: Integer labels, shape `(batch,)` or `(batch, 1)`; see
                `soft_labels`.
            seed: None for fresh noise at every call; an integer or an int32
                tensor of shape `(2,)` for noise that only depends on it.
        """
        return x

    def losses(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        *,
        training: bool = True,
        epoch: Any = None,
        seed: Seed = None,
        sample_weight: tf.Tensor | None = None,
    ) -> Loss:
        """Returns the mean loss over the batch with terms, figures and logits.

        Args:
            model: Keras model, or any callable from images to logits.
            x: Float32 images of shape `(batch, ...)` in [0, 1].
            y: Integer labels, shape `(batch,)` or `(batch, 1)`.
            perturbed: What `perturb` returned for them.
            training: Whether the forward passes are passes of training.
            epoch: Float32 scalar, epochs done, a fraction within an epoch; None
                stands for the end of every schedule, as in evaluation.
            seed: As for `perturb`, but another one: see `loss_seed`.
            sample_weight: Float tensor of shape `(batch,)`, weights of the
                images in the mean over the batch; `None` for ones.
        """
        logits = call_model(model, perturbed, training)
        losses = cross_entropy(logits, y)
        terms = {"robust_ce": weighted_mean(losses, sample_weight)}
        return Loss.of_terms(terms, robust_logits=logits)

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
        """Returns `losses(...).value`, a float32 scalar.

        One of your own takes the arguments up to `training`.
        """
        return Objective.losses(
            self,
            model,
            x,
            y,
            perturbed,
            training=training,
            epoch=epoch,
            seed=seed,
        ).value

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
        x, y = inputs.as_array(x), inputs.as_array(y)
        inputs.check_images(
            x,
            clip=self.clip,
            shape=inputs.image_shape_of(model),
            takes_clip=True,
        )
        check_labels(self, model, x, y)
        if inputs.is_distribution(y) and not self.soft_labels:
            y = most_likely(y)
        return self.losses(
            model,
            x,
            y,
            self.perturb(model, x, y, seed=seed),
            training=training,
            epoch=epoch,
            seed=loss_seed(seed),
        ).value

    def with_ramp(
        self, start: float, end: float, shape: str = "linear"
    ) -> Self:
        """Returns the objective with a radius that grows from 0.

        Only those on bounds need that; any other is returned as it is.

        Args:
            start: Float >= 0, epoch at which the radius begins to grow.
            end: Float > `start`, epoch from which it is full; 0 for a full
                radius from the beginning.
            shape: `"linear"`, or `"smoothed"` for a gentle start.
        """
        return self

    @property
    def full_from_epoch(self) -> float:
        """Epoch from which the objective is as hard as it will be."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments by name."""
        names = [setting.name for setting in settings_of(type(self))]
        for name in names:
            if not hasattr(self, name):
                raise InputError(
                    f"{type(self).__name__} must keep its argument {name!r} in "
                    "an attribute of that name"
                )
        return {name: getattr(self, name) for name in names}

    def changed(self, **settings: Any) -> Self:
        """Returns a copy with other settings.

        Args:
            **settings: The constructor's arguments that differ.
        """
        return self.from_config({**self.get_config(), **settings})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
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


def check_objective(objective: Any, name: str = "`objective`") -> None:
    """Raises `InputError` unless a value is an objective.

    Args:
        objective: The value.
        name: What the message calls it.
    """
    if isinstance(objective, Objective):
        return
    hint = ""
    if isinstance(objective, type):
        hint = f"; call the class: {objective.__name__}()"
    elif isinstance(objective, str):
        hint = f"; by name: hydra_tf.objectives.create({objective!r})"
    raise InputError(
        f"{name} must be a hydra_tf.objectives.Objective, or derived from it. "
        f"Received: {objective!r}{hint}"
    )


def radii_of(objective: Objective) -> dict[str, float | None]:
    """Returns how far an objective perturbs images, the ends of schedules.

    Args:
        objective: The objective.
    """
    radii: dict[str, float | None] = {}
    for name in ("epsilon", "sigma"):
        value = getattr(objective, name, None)
        if isinstance(value, Schedule):
            value = value.last
        radii[name] = value if isinstance(value, float | int) else None
    return radii


def check_labels(
    objective: Objective,
    model: Any,
    x: Any,
    y: Any,
    name: str = "y",
    whole_floats: bool = False,
) -> None:
    """Raises `InputError` unless labels are what an objective takes.

    Args:
        objective: The objective.
        model: What has as many logits as there are classes.
        x: The images, `None` if their number does not matter.
        y: The labels.
        name: What the message calls them.
        whole_floats: Whether class indices may be floats.
    """
    num_images = None if x is None else inputs.num_images_of(x)
    num_classes = inputs.num_classes_of(model)
    if inputs.is_distribution(y):
        inputs.check_distributions(
            y,
            name,
            num_images=num_images,
            num_classes=num_classes,
            one_hot_for=None
            if objective.soft_labels
            else type(objective).__name__,
        )
        return
    inputs.check_labels(
        y,
        name,
        num_images=num_images,
        num_classes=num_classes,
        whole_floats=whole_floats,
    )


def loss_seed(seed: Seed) -> tf.Tensor | None:
    """Returns the seed for the loss of a step, a stream of its own.

    Args:
        seed: The step's seed, which `perturb` takes as it is.
    """
    return fold_seed(as_seed(seed), _LOSS_STREAM)


def _losses_from(loss: Callable[..., tf.Tensor]) -> Callable[..., Loss]:
    def losses(
        self: Objective,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        *,
        training: bool = True,
        epoch: Any = None,
        seed: Seed = None,
    ) -> Loss:
        return Loss(loss(self, model, x, y, perturbed, training=training))

    losses.__doc__ = Objective.losses.__doc__
    return losses


def _loss_from(losses: Callable[..., Loss]) -> Callable[..., tf.Tensor]:
    def loss(
        self: Objective,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
        epoch: Any = None,
        seed: Seed = None,
        **drawn: Any,
    ) -> tf.Tensor:
        return losses(
            self,
            model,
            x,
            y,
            perturbed,
            training=training,
            epoch=epoch,
            seed=seed,
            **drawn,
        ).value

    loss.__doc__ = Objective.loss.__doc__
    return loss
