"""What the objectives with a PGD attack share."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.pgd import pgd
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.registry.objectives import NUM_STEPS
from hydra_tf.registry.objectives import STEP_SIZE
from hydra_tf.registry.objectives import THREAT_MODEL
from hydra_tf.registry.settings import Number
from hydra_tf.schedules import LinearRamp
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule
from hydra_tf.schedules import value_at

if TYPE_CHECKING:
    from typing_extensions import Self

_SCHEDULED_STEPS = Number(name=NUM_STEPS.name, help="", lower=NUM_STEPS.lower)


class AdversarialObjective(Objective):
    """Base of the objectives that search a ball with several gradient steps.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0 or schedule, number of steps; a schedule's
            value is rounded.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int | Schedule = 10,
        threat_model: str = "linf",
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.threat_model: str = THREAT_MODEL.check(threat_model)
        self.clip = CLIP.check(clip)
        self.epsilon: float = EPSILON.check_within(epsilon, threat_model, clip)
        self.num_steps = num_steps
        if isinstance(num_steps, Schedule):
            last = as_schedule(_SCHEDULED_STEPS, num_steps).last
        else:
            last = NUM_STEPS.check(num_steps)
        if STEP_SIZE.check_within(step_size, threat_model, clip) is None:
            step_size = (
                epsilon / 4
                if threat_model == "linf"
                else 2 * epsilon / max(last, 1)
            )
        self.step_size = step_size

    def with_steps_ramp(self, end: float) -> Self:
        """Returns the objective with attack steps that grow from one.

        The first epochs then cost little more than those of a single step.

        Args:
            end: Float > 0, epoch from which it takes all `num_steps`.

        Raises:
            InputError: If there is one step or none, or a schedule of them.
        """
        if isinstance(self.num_steps, Schedule) or self.num_steps < 2:
            raise InputError(
                "`num_steps` must be a whole number >= 2 to grow from 1 "
                "(`num_steps_ramp`). "
                f"Received: num_steps={self.num_steps!r}"
            )
        steps = LinearRamp(0.0, end, first=1.0, last=float(self.num_steps))
        return self.changed(num_steps=steps)

    @property
    def full_from_epoch(self) -> float:
        steps = self.num_steps
        return steps.end_epoch if isinstance(steps, Schedule) else 0.0

    def steps_at(self, epoch: Any = None) -> int | tf.Tensor:
        """Returns the number of attack steps.

        Args:
            epoch: Scalar, or None for the end of a schedule.
        """
        if not isinstance(self.num_steps, Schedule):
            return self.num_steps
        steps = value_at(self.num_steps, epoch)
        if isinstance(steps, float):
            return round(steps)
        return tf.cast(tf.round(steps), tf.int32)

    def attack(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        loss: str,
        start: tf.Tensor | None,
        random_start: bool = False,
        seed: Seed = None,
        epoch: Any = None,
    ) -> tf.Tensor:
        """Returns `pgd` of these settings."""
        return pgd(
            model,
            x,
            y,
            epsilon=self.epsilon,
            step_size=self.step_size,
            num_steps=self.steps_at(epoch),
            threat_model=self.threat_model,
            clip=self.clip,
            loss=loss,
            start=start,
            random_start=random_start,
            seed=seed,
        )
