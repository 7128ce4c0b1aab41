"""The TensorFlow 2 attacks of cleverhans 4.0, in this library's words.

An independent implementation to compare with, and attacks of other kinds:
momentum (MIM), smallest perturbation (CW-L2), no gradients (SPSA). What they
need to run beside Keras 3, and to do what they document, is dealt with here:

* PGD, MIM: the assertions they call sanity checks are switched off,
  the arguments are checked here instead. Their gradient function keeps every
  network it has seen for ever, and would not notice that a network changed its
  phase; each call gets a fresh one.
* CW-L2: passing labels makes the attack targeted, whatever `targeted` says; it
  multiplies constants of the shape of the images with one loss per image, which
  is right for a single image only, and then counts the loss once per pixel;
  its optimizer relies on methods that Keras 3 has not. Here it runs image by
  image, untargeted, with the constant scaled and a small optimizer of our own.
* SPSA: takes one image at a time, and its optimizer cannot be constructed under
  Keras 3; its methods are used without the constructor.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.checks import check_attack_settings
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.checks import checked_images
from hydra_tf.attacks.checks import checked_labels
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import AttackEntry

_NORMS = {"linf": np.inf, "l2": 2}
_PREFIX = "cleverhans_"
# Step sizes, by default, of those that walk with Adam.
_LEARNING_RATES = {"cw_l2": 0.005, "spsa": 0.01}

LogitsFunction = Callable[[tf.Tensor], tf.Tensor]

_LOCK = threading.RLock()


def cleverhans_attack(
    name: str,
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None = None,
    *,
    epsilon: float | None = None,
    step_size: float | None = None,
    num_steps: int | None = None,
    threat_model: str | None = None,
    clip: tuple[float, float] = (0.0, 1.0),
    seed: noise.Seed = None,
    **settings: Any,
) -> tf.Tensor:
    """Runs an attack of cleverhans. To be called eagerly.

    Args:
        name: `"pgd"`, `"mim"`, `"cw_l2"` or `"spsa"`.
        model: Keras model, called in inference mode, or any callable from
            images to logits.
        x: Float images of shape `(batch, ...)` within `clip`; for `"cw_l2"`
            of shape `(batch, height, width, channels)`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions.
        epsilon: Float >= 0, radius of the ball. `"cw_l2"` looks for the
            smallest perturbation: images whose perturbation exceeds `epsilon`
            are returned unperturbed; None accepts all.
        step_size: Float >= 0. Defaults to `epsilon / 4` for Linf, to
            `2 * epsilon / num_steps` for L2, but at most `epsilon`; for
            `"cw_l2"` and `"spsa"` it is Adam's learning rate, 0.005 and 0.01.
        num_steps: Integer >= 0. Defaults to 10; for `"cw_l2"`, where it is the
            number of steps of each binary search step, to 1000.
        threat_model: `"linf"`, the default where there is a choice, or `"l2"`.
            `"cw_l2"` is L2, `"spsa"` is Linf.
        clip: Smallest and largest value of an image.
        seed: As in `pgd`, but it seeds TensorFlow's global generator, from
            which random numbers come; `None` leaves that as it is.
        **settings: For `"pgd"`, `random_start` (True). For `"mim"`,
            `decay_factor` (1.0). For `"cw_l2"`, `binary_search_steps` (5),
            `confidence` (0.0), `initial_const` (0.01), `abort_early` (True).
            For `"spsa"`, `delta` (0.01), `num_samples` (128, even),
            `early_stop_loss_threshold` (None).

    Returns:
        Perturbed images, with shape and dtype of `x`.

    Raises:
        InputError: If an argument is out of its range, or the attack has no
            such setting.

    Reference:

    - [Papernot et al., 2018](https://arxiv.org/abs/1610.00768)
    - CW-L2: [Carlini and Wagner, 2017](https://arxiv.org/abs/1608.04644)
    - MIM: [Dong et al., 2018](https://arxiv.org/abs/1710.06081)
    - SPSA: [Uesato et al., 2018](https://arxiv.org/abs/1802.05666)
    """
    entry = _entry(name)
    threat_model = threat_model or entry.threat_models[0]
    entry.check_threat_model(threat_model)
    for key, value in settings.items():
        entry.setting(key).check(value)
    if epsilon is None:
        if name != "cw_l2":
            raise InputError(f"The attack {name!r} needs `epsilon`.")
        epsilon = math.inf
    if num_steps is None:
        num_steps = 1000 if name == "cw_l2" else 10
    if step_size is None:
        step_size = _LEARNING_RATES.get(name)
    if step_size is None:
        step_size = epsilon / 4
        if threat_model == "l2":
            step_size = min(2 * epsilon / max(num_steps, 1), epsilon)
    check_attack_settings(
        epsilon=0.0 if epsilon == math.inf else epsilon,
        step_size=step_size,
        num_steps=num_steps,
        threat_model=threat_model,
        clip=clip,
    )
    if name == "pgd" and step_size > epsilon:
        raise InputError(
            "The attack 'pgd' of cleverhans needs `step_size` <= `epsilon`. "
            f"Received: step_size={step_size}, epsilon={epsilon}"
        )
    check_model(model)
    images = _checked_images(x, model, clip)
    logits_of = as_logits_function(model)
    if y is None:
        labels = tf.argmax(logits_of(images), axis=-1, output_type=tf.int32)
    else:
        labels = tf.cast(checked_labels(y, images, model), tf.int32)
    stateless_seed = noise.as_seed(seed)
    if stateless_seed is not None:
        low, high = stateless_seed.numpy().astype(np.uint32).tolist()
        tf.random.set_seed(low | (high & 0x3FFFFFFF) << 32)
    if name in ("pgd", "mim"):
        settings["norm"] = _NORMS[threat_model]
    with _LOCK, _quiet():
        x_adv = _RUN[name](
            logits_of,
            images,
            labels,
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
            clip=clip,
            **settings,
        )
    return tf.cast(x_adv, tf.convert_to_tensor(x).dtype)


# The rows of the registry.
pgd, mim, cw_l2, spsa = (
    functools.partial(cleverhans_attack, name)
    for name in ("pgd", "mim", "cw_l2", "spsa")
)


def _entry(name: str) -> AttackEntry:
    known = [
        entry.name.removeprefix(_PREFIX)
        for entry in ATTACKS
        if entry.library == "cleverhans"
    ]
    if name not in known:
        raise InputError(
            f"unknown cleverhans attack {name!r}. {close_matches(name, known)}"
        )
    return ATTACKS.entry(f"{_PREFIX}{name}")


def _checked_images(
    x: tf.Tensor, model: Model, clip: tuple[float, float]
) -> tf.Tensor:
    """Returns float32 images, or raises InputError if they leave the range."""
    if not tf.executing_eagerly():
        raise InputError(
            "`cleverhans_attack` must be called outside of `tf.function`; "
            "`pgd` and `fgsm` can be called within."
        )
    return tf.cast(checked_images(x, model, clip), tf.float32)


def _climb(
    name: str,
    logits_of: LogitsFunction,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    norm: float,
    clip: tuple[float, float],
    **settings: Any,
) -> tf.Tensor:
    """Runs PGD or MIM."""
    from cleverhans.tf2.attacks import fast_gradient_method as fgm
    from cleverhans.tf2.attacks import momentum_iterative_method as mim
    from cleverhans.tf2.attacks import projected_gradient_descent as pgd

    # The module that has the gradient's function, which is to be a fresh one.
    module, attack = mim, mim.momentum_iterative_method
    if name == "pgd":
        module, attack = fgm, pgd.projected_gradient_descent
        settings = {"rand_init": settings.get("random_start", True)}
    gradient = tf.function(module.compute_gradient.python_function)
    with mock.patch.object(module, "compute_gradient", gradient):
        return attack(
            logits_of,
            x,
            y=y,
            eps=epsilon,
            eps_iter=step_size,
            nb_iter=num_steps,
            norm=norm,
            clip_min=clip[0],
            clip_max=clip[1],
            sanity_checks=False,
            **settings,
        )


def _smallest_perturbation(
    logits_of: LogitsFunction,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    clip: tuple[float, float],
    binary_search_steps: int = 5,
    confidence: float = 0.0,
    initial_const: float = 0.01,
    abort_early: bool = True,
) -> tf.Tensor:
    """Runs CW-L2 image by image."""
    from cleverhans.tf2.attacks.carlini_wagner_l2 import CarliniWagnerL2

    if x.shape.rank != 4:
        raise InputError(
            "The attack 'cw_l2' needs `x` of shape (batch, height, width, "
            f"channels). Received: shape={tuple(x.shape)}"
        )
    attack = CarliniWagnerL2(
        logits_of,
        y=None,
        batch_size=1,
        clip_min=clip[0],
        clip_max=clip[1],
        binary_search_steps=binary_search_steps,
        max_iterations=num_steps,
        abort_early=abort_early,
        confidence=confidence,
        # The loss is counted once per entry of the image.
        initial_const=initial_const / math.prod(x.shape[1:]),
        learning_rate=step_size,
    )
    attack.optimizer = _Adam(step_size)
    x_adv = tf.constant(attack.attack(x.numpy()))
    # The attack moves away from the prediction. Where that is not the label,
    # the image is misclassified as it is.
    predicted = tf.argmax(logits_of(x), axis=-1, output_type=y.dtype)
    distance = tf.sqrt(tf.reduce_sum((x_adv - x) ** 2, axis=[1, 2, 3]))
    kept = (predicted == y) & (distance <= epsilon)
    return tf.where(kept[:, None, None, None], x_adv, x)


class _Adam:
    """Adam for one variable, with the methods that CW-L2 calls."""

    def __init__(self, learning_rate: float):
        self.learning_rate = learning_rate
        self.variables()

    def variables(self) -> list:
        """Starts afresh: CW-L2 asks for the variables to set them to zero."""
        self._step = 0
        self._mean: Any = 0.0
        self._square: Any = 0.0
        return []

    def apply_gradients(self, gradients_and_variables) -> None:
        """Moves the variable one step against its gradient."""
        ((gradient, variable),) = gradients_and_variables
        self._step += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient**2
        mean = self._mean / (1 - 0.9**self._step)
        square = self._square / (1 - 0.999**self._step)
        variable.assign_sub(
            self.learning_rate * mean / (tf.sqrt(square) + 1e-7)
        )


def _spsa(
    logits_of: LogitsFunction,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    clip: tuple[float, float],
    delta: float = 0.01,
    num_samples: int = 128,
    early_stop_loss_threshold: float | None = None,
) -> tf.Tensor:
    """Runs SPSA image by image."""
    from cleverhans.tf2.attacks import spsa

    if num_samples % 2:
        raise InputError(
            "`num_samples` must be even: samples come in opposite pairs. "
            f"Received: num_samples={num_samples}"
        )
    borrowed = type(
        "SPSAAdam",
        (),
        {
            name: method
            for name, method in vars(spsa.SPSAAdam).items()
            if callable(method) and not name.startswith("__")
        },
    )()
    vars(borrowed).update(
        _delta=delta,
        _num_samples=num_samples // 2,
        _num_iters=1,
        lr=step_size,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
    )

    def loss_of(image, label):
        # Minimised: falls as another class overtakes the label.
        logits = logits_of(image)
        return -spsa.margin_logit_loss(
            logits, label, nb_classes=logits.shape[-1]
        )

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, *x.shape[1:]]),
            tf.TensorSpec([1], y.dtype),
        ]
    )
    def attack_one(image, label):
        return spsa.projected_optimization(
            loss_of,
            image,
            label,
            epsilon,
            num_steps,
            borrowed,
            clip_min=clip[0],
            clip_max=clip[1],
            early_stop_loss_threshold=early_stop_loss_threshold,
        )

    return tf.concat(
        [attack_one(x[i : i + 1], y[i : i + 1]) for i in range(len(x))], axis=0
    )


_RUN: dict[str, Callable[..., tf.Tensor]] = {
    "pgd": functools.partial(_climb, "pgd"),
    "mim": functools.partial(_climb, "mim"),
    "cw_l2": _smallest_perturbation,
    "spsa": _spsa,
}


@contextlib.contextmanager
def _quiet():
    """Silences the deprecations that importing and running it sets off."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
