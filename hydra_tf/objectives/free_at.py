"""Free adversarial training: one backward pass for weights and attack."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf import attacks
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.registry.objectives import N_REPEATS
from hydra_tf.registry.objectives import STAY_IN_RANGE
from hydra_tf.registry.objectives import STEP_SIZE
from hydra_tf.registry.objectives import THREAT_MODEL


@keras.saving.register_keras_serializable(package="hydra_tf")
class FreeAT(Objective):
    """Cross-entropy on perturbed images, each batch replayed (Free-AT).

    A training step replays its batch `n_repeats` times. Every replay is an
    update of the weights, and its one backward pass also yields the gradient of
    the images, by which the perturbation climbs. The perturbation is carried on
    from replay to replay and from batch to batch: image i of a batch starts
    from that of image i of the batch before, the first batch from none.

    An epoch is one pass through the images, and has `n_repeats` updates for
    each batch: a recipe takes as many times fewer epochs. What a step logs is
    that of its last replay. A last batch of few images is replayed as often,
    and may undo an epoch: load data with `drop_remainder=True` if it is small.

    Loss term: `robust_ce`.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, length of each step of the perturbation, or
            None: `epsilon`.
        n_repeats: Integer >= 1, replays of each batch.
        stay_in_range: Whether the perturbation stays within `clip`, as that of
            PGD does, and climbs by the gradient of the perturbed image. In the
            authors' code only the image is clipped, and nothing flows where it
            is: a black pixel that inherits a step down never moves again,
            which costs much where many pixels are black or white.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Reference:

    - [Shafahi et al., 2019](https://arxiv.org/abs/1904.12843), algorithm 1
    """

    term_names = ("robust_ce",)
    soft_labels = True

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        n_repeats: int = 4,
        stay_in_range: bool = False,
        threat_model: str = "linf",
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.threat_model: str = THREAT_MODEL.check(threat_model)
        self.clip = CLIP.check(clip)
        self.epsilon: float = EPSILON.check_within(epsilon, threat_model, clip)
        STEP_SIZE.check_within(step_size, threat_model, clip)
        self.step_size: float = epsilon if step_size is None else step_size
        self.n_repeats: int = int(N_REPEATS.check(n_repeats))
        self.stay_in_range: bool = STAY_IN_RANGE.check(stay_in_range)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
    ) -> tf.Tensor:
        """Returns images after `n_repeats` steps from themselves.

        Training does not attack like that, as its weights move between two
        steps; evaluation does.
        """
        return attacks.pgd(
            model,
            x,
            y,
            epsilon=self.epsilon,
            step_size=self.step_size,
            num_steps=self.n_repeats,
            threat_model=self.threat_model,
            clip=self.clip,
            random_start=False,
            seed=seed,
        )

    def perturbed(self, x: tf.Tensor, perturbation: tf.Tensor) -> tf.Tensor:
        """Returns images with a perturbation, clipped to the image range.

        Args:
            x: Images.
            perturbation: Float32 tensor of their shape.
        """
        moved = tf.cast(x, tf.float32) + perturbation
        if self.clip is None:
            return moved
        clipped = tf.clip_by_value(moved, *self.clip)
        if self.stay_in_range:
            # It is in the range but for rounding, which must not stop it.
            return moved + tf.stop_gradient(clipped - moved)
        return clipped

    def carried(self, x: tf.Tensor, perturbation: tf.Tensor) -> tf.Tensor:
        """Returns a perturbation as it is carried on to images.

        Args:
            x: Images.
            perturbation: Float32 tensor of their shape.
        """
        if not self.stay_in_range:
            return perturbation
        return self.perturbed(x, perturbation) - tf.cast(x, tf.float32)

    def ascend(self, perturbation: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Returns a perturbation one step up the loss, within the ball.

        Args:
            perturbation: Float32 tensor of the images' shape.
            gradient: That of the loss, whose scale does not matter. Where it
                is no number, as after an overflow, the perturbation stays.
        """
        gradient = tf.cast(gradient, tf.float32)
        gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
        none = tf.zeros_like(perturbation)
        ball = Ball.around(none, self.epsilon, self.threat_model, None)
        return ball.step(perturbation, gradient, self.step_size)
