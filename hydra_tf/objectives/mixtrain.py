"""MixTrain: symbolic intervals on a few images, now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import class_labels
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import fold_seed
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.verifiable import VerifiableObjective
from hydra_tf.objectives.verifiable import certified_share
from hydra_tf.objectives.verifiable import margin_cross_entropy
from hydra_tf.ops.global_batch import Part
from hydra_tf.ops.global_batch import part_of
from hydra_tf.ops.rows import weighted_mean
from hydra_tf.registry.objectives import NUM_EXAMPLES
from hydra_tf.registry.objectives import PROBABILITY
from hydra_tf.registry.objectives import SYMBOLIC_WEIGHT
from hydra_tf.schedules import IntervalWeight
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule
from hydra_tf.schedules import value_at

if TYPE_CHECKING:
    from typing_extensions import Self


@keras.saving.register_keras_serializable(package="hydra_tf")
class MixTrain(VerifiableObjective):
    """Natural loss, and in most steps a verified one of a few images.

    A step's loss is, with the probability `probability`,

        CE(f(x), y) + symbolic_weight * robust_ce

    where the second term is the cross-entropy of the worst logits that symbolic
    intervals allow, mean over `num_examples` images drawn from the batch with
    replacement; in the other steps it is the first term alone, and the bounds
    are not computed. In evaluation every batch has both terms, with the weight
    as it ends. Under a strategy the replicas together draw what one device
    would, and each bounds those images that it has.

    Loss terms: `natural_ce`, and `robust_ce`, which includes the weight.
    Figures: `certified_accuracy` of the images drawn (0 if none was in an
    epoch), `epsilon` and `symbolic_weight`.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius.
        clip: Least and largest value of a pixel, to which the boxes are
            clipped, or `None` for no limits.
        symbolic_weight: Float >= 0 or schedule, weight of the second term, for
            instance `ht.schedules.IntervalWeight(15)`.
        probability: Float in [0, 1], share of the steps that have it.
        num_examples: Integer >= 1, images that are drawn.

    Example:
        ```python
        objective = ht.objectives.MixTrain(
            epsilon=ht.schedules.LinearRamp(0, 15, first=0.0, last=2 / 255),
            symbolic_weight=ht.schedules.IntervalWeight(15),
        )
        ```

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1811.02625)
    """

    term_names = ("natural_ce", "robust_ce")
    figure_names = ("certified_accuracy", "epsilon", "symbolic_weight")

    def __init__(
        self,
        *,
        epsilon: float | Schedule = 2 / 255,
        clip: tuple[float, float] | None = (0.0, 1.0),
        symbolic_weight: float | Schedule = 0.1,
        probability: float = 0.8,
        num_examples: int = 5,
    ):
        super().__init__(epsilon=epsilon, clip=clip)
        self.symbolic_weight = symbolic_weight
        self._symbolic_weight = as_schedule(SYMBOLIC_WEIGHT, symbolic_weight)
        self.probability: float = PROBABILITY.check(probability)
        self.num_examples: int = NUM_EXAMPLES.check(num_examples)

    def with_ramp(
        self, start: float, end: float, shape: str = "linear"
    ) -> Self:
        """Returns a copy whose radius, then weight, grows.

        A `symbolic_weight` that is a number becomes an `IntervalWeight`, which
        grows from the end of the ramp on; see `Objective.with_ramp`.
        """
        ramped = super().with_ramp(start, end, shape)
        if isinstance(self.epsilon, Schedule) or isinstance(
            self.symbolic_weight, Schedule
        ):
            return ramped
        return ramped.changed(
            symbolic_weight=IntervalWeight(end, base=self.symbolic_weight)
        )

    def draw(
        self, seed: Seed, num_images: tf.Tensor
    ) -> tuple[bool | tf.Tensor, tf.Tensor]:
        """Returns whether a step of training has bounds, and of which images.

        Args:
            seed: The seed of the loss: None for fresh numbers at every
                call, otherwise all that they depend on.
            num_images: Integer scalar, size of the batch, that of all replicas
                together.

        Returns:
            A boolean, and int32 positions in the batch, `(num_examples,)`.
        """
        coin, positions = (fold_seed(as_seed(seed), i) for i in range(2))
        is_used: bool | tf.Tensor = self.probability == 1
        if 0 < self.probability < 1:
            is_used = _uniform([], coin, tf.float32) < self.probability
        return is_used, _uniform(
            [self.num_examples], positions, tf.int32, maxval=num_images
        )

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
        drawn: tuple[bool | tf.Tensor, tf.Tensor] | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> Loss:
        """See `Objective.losses`; `drawn` replaces what `draw` returns."""
        epsilon = value_at(self._epsilon, epoch)
        weight = value_at(self._symbolic_weight, epoch)
        part = part_of(tf.shape(x)[0])
        is_used, positions = drawn or self.draw(seed, part.total)
        if not training:
            is_used = True
        positions, shares = _drawn_from(part, positions)
        weights = shares
        if sample_weight is not None:
            weights *= tf.gather(tf.cast(sample_weight, tf.float32), positions)

        def symbolic() -> tuple[tf.Tensor, tf.Tensor]:
            propagation, spec = self.propagation(
                model,
                tf.gather(x, positions),
                tf.gather(class_labels(y), positions),
                epsilon,
            )
            margins, _ = propagation.bound("symbolic", spec, upper=False)
            return (
                margin_cross_entropy(margins, weights),
                certified_share(margins, shares),
            )

        def nothing() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.constant(0.0), tf.constant(0.0)

        if tf.is_tensor(is_used):
            robust, certified = tf.cond(is_used, symbolic, nothing)
        else:
            robust, certified = symbolic() if is_used else nothing()
        # Only now: the bounds shall not see statistics of this very batch.
        natural = call_model(model, x, training)
        return Loss.of_terms(
            {
                "natural_ce": weighted_mean(
                    cross_entropy(natural, y), sample_weight
                ),
                "robust_ce": weight * robust,
            },
            figures={
                # A step without bounds says nothing of it.
                "certified_accuracy": (certified, tf.cast(is_used, tf.float32)),
                "epsilon": epsilon,
                "symbolic_weight": weight,
            },
            natural_logits=natural,
        )


def _drawn_from(
    part: Part, positions: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows drawn from a replica's part, and their weights.

    Means of replicas are added by their share of the global batch. An image
    that another replica has is replaced, which keeps the shape, and has the
    weight 0.

    Args:
        part: The rows of the replica.
        positions: What was drawn from the global batch.
    """
    rows = positions - part.first
    is_here = (rows >= 0) & (rows < part.rows)
    weights = tf.math.divide_no_nan(
        tf.cast(tf.where(is_here, part.total, 0), tf.float32),
        tf.cast(part.rows * tf.size(positions), tf.float32),
    )
    return tf.where(is_here, rows, 0), weights


def _uniform(
    shape: list[int],
    seed: tf.Tensor | None,
    dtype: tf.DType,
    maxval: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns numbers in [0, 1), or integers in [0, `maxval`)."""
    if maxval is None:
        maxval = tf.ones([], dtype)
    if seed is None:
        return tf.random.uniform(shape, 0, maxval, dtype)
    return tf.random.stateless_uniform(
        shape, seed, 0, maxval, dtype, alg="philox"
    )
