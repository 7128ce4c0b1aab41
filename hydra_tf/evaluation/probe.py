"""What the checks of an evaluation measure: few images, one graph for all."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import compiled
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import margin
from hydra_tf.attacks.pgd import pgd
from hydra_tf.attacks.restarts import attack_survivors
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.attacks.square import square
from hydra_tf.evaluation.settings import EvaluationSettings


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of images, unattacked.

    Attributes:
        logits: Shape `(images, classes)`.
        of_loss: Largest entry of the gradient of each image's cross-entropy.
        of_margin: The same of the margin between its logits.
    """

    logits: np.ndarray
    of_loss: np.ndarray
    of_margin: np.ndarray


class Probe:
    """A network that is attacked in one way after the other.

    Args:
        network: Keras model, or any callable from images to logits.
        images: Float32 images.
        labels: Their classes.
        settings: Radius, steps and restarts of PGD, norm, batches, seed.

    Attributes:
        largest_epsilon: The radius within which all images lie.
    """

    def __init__(
        self,
        network: Any,
        images: np.ndarray,
        labels: np.ndarray,
        settings: EvaluationSettings,
    ):
        self._network = network
        self._images, self._labels = images, labels
        self._settings = settings
        linf = settings.threat_model == "linf"
        self.largest_epsilon = 1.0 if linf else float(images[0].size) ** 0.5
        self._signature = [
            tf.TensorSpec((None, *images.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        ]
        self._logits_of = as_logits_function(network)
        self._attacks: dict[str, Any] = {}

    @functools.cached_property
    def first(self) -> Answers:
        """What the network said first."""
        return self.answers()

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """Bool array, which images the network got right then."""
        # TensorFlow's choice among logits that are equal or nan.
        classes = tf.argmax(self.first.logits, -1, tf.int32)
        return classes.numpy() == self._labels

    def answers(self, batch_size: int | None = None) -> Answers:
        """Asks the network.

        Args:
            batch_size: Images at a time, by default as the settings say.
        """
        batch_size = batch_size or self._settings.batch_size
        parts = [
            self._ask(
                tf.constant(self._images[row : row + batch_size]),
                tf.constant(self._labels[row : row + batch_size]),
            )
            for row in range(0, len(self._images), batch_size)
        ]
        return Answers(
            *(np.concatenate(each) for each in zip(*parts, strict=True))
        )

    def pgd(
        self,
        epsilon: float | None = None,
        num_steps: int | None = None,
        num_restarts: int = 1,
        loss: str = "ce",
    ) -> np.ndarray:
        """Returns which images are right under PGD.

        Args:
            epsilon: Its radius, by default that of the settings. The length of
                its steps is in proportion.
            num_steps: Its steps, by default those of the settings.
            num_restarts: Its random starts.
            loss: What it climbs, `"ce"` or `"margin"`.
        """
        arguments = self._settings.attack_arguments
        share = arguments["step_size"] / arguments["epsilon"]
        epsilon = arguments["epsilon"] if epsilon is None else epsilon
        num_steps = arguments["num_steps"] if num_steps is None else num_steps
        return self._climb(
            epsilon, share * epsilon, num_steps, epsilon, num_restarts, loss
        )

    def single_step(self) -> np.ndarray:
        """Returns which images are right under the fast gradient sign."""
        epsilon = self._settings.epsilon
        return self._climb(epsilon, epsilon, 1, 0.0)

    def noise(self, num_draws: int) -> np.ndarray:
        """Returns which images are right at random points of the ball.

        Args:
            num_draws: Number of the points.
        """
        epsilon = self._settings.epsilon
        return self._climb(epsilon, 0.0, 0, epsilon, num_draws)

    def square(self, num_queries: int) -> np.ndarray:
        """Returns which images are right under Square.

        Args:
            num_queries: Forward passes that it may take for an image.
        """

        def run(x, y, indices, seed):
            return square(
                self._network,
                x,
                y,
                epsilon=self._settings.epsilon,
                threat_model=self._settings.threat_model,
                num_queries=num_queries,
                seed=seed,
                indices=indices,
            )

        return self._survivors(self._compiled(run), 1)

    def _climb(
        self,
        epsilon: float,
        step_size: float,
        num_steps: int,
        start: float,
        num_restarts: int = 1,
        loss: str = "ce",
    ) -> np.ndarray:
        """Returns which images are right under steps from random points.

        Args:
            epsilon: Radius of the ball.
            step_size: Length of a step.
            num_steps: Number of steps.
            start: Radius within which it starts.
            num_restarts: Number of starts.
            loss: What the steps climb.
        """
        if loss not in self._attacks:
            self._attacks[loss] = self._compiled_pgd(loss)
        return self._survivors(
            self._attacks[loss],
            num_restarts,
            tf.constant(epsilon, tf.float32),
            tf.constant(step_size, tf.float32),
            tf.constant(num_steps, tf.int32),
            tf.constant(start, tf.float32),
        )

    def _survivors(
        self, attack: Callable[..., tf.Tensor], num_restarts: int, *numbers: Any
    ) -> np.ndarray:
        """Returns which images are right under every start of an attack."""
        seed = noise.as_seed(self._settings.seed)
        withstood = self.correct.copy()

        def attack_rows(rows, restart):
            return attack(
                tf.constant(self._images[rows]),
                tf.constant(self._labels[rows]),
                tf.constant(rows, tf.int64),
                restart_seed(seed, restart),
                *numbers,
            ).numpy()

        for _ in attack_survivors(
            attack_rows,
            withstood,
            num_restarts=num_restarts,
            batch_size=self._settings.batch_size,
        ):
            pass
        return withstood

    @functools.cached_property
    def _ask(self) -> Any:
        def ask(x, y):
            with tf.GradientTape(
                persistent=True, watch_accessed_variables=False
            ) as tape:
                tape.watch(x)
                logits = self._logits_of(x)
                losses = {
                    "of_loss": tf.reduce_sum(cross_entropy(logits, y)),
                    "of_margin": tf.reduce_sum(margin(logits, y)),
                }
            sizes = [
                tf.reduce_max(
                    tf.abs(
                        tape.gradient(total, x, unconnected_gradients="zero")
                    ),
                    axis=noise.image_axes(x),
                )
                for total in losses.values()
            ]
            return logits, *sizes

        return compiled(ask, input_signature=self._signature)

    def _compiled_pgd(self, loss: str) -> Any:
        threat_model = self._settings.threat_model

        def run(x, y, indices, seed, epsilon, step_size, num_steps, start):
            first = Ball.around(x, start, threat_model, (0.0, 1.0))
            return pgd(
                self._network,
                x,
                y,
                epsilon=epsilon,
                step_size=step_size,
                num_steps=num_steps,
                threat_model=threat_model,
                loss=loss,
                start=first.random_point(seed, indices),
            )

        number = tf.TensorSpec((), tf.float32)
        whole = tf.TensorSpec((), tf.int32)
        return self._compiled(run, number, number, whole, number)

    def _compiled(self, attack: Callable[..., tf.Tensor], *more: Any) -> Any:
        """Returns the graph that tells which images an attack leaves right."""

        def run(x, y, indices, seed, *numbers):
            x_adv = attack(x, y, indices, seed, *numbers)
            return tf.argmax(self._logits_of(x_adv), -1, tf.int32) == y

        return compiled(
            run,
            input_signature=[
                *self._signature,
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((2,), tf.int32),
                *more,
            ],
        )
