"""A masked weight as those see it who loop over all of a model."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers import kernel_scope
from hydra_tf.layers.mask_settings import MaskSettings
from hydra_tf.layers.mask_settings import check_fixed_density
from hydra_tf.layers.masked_weight import ConstantMask
from hydra_tf.layers.masked_weight import MaskedWeight
from hydra_tf.layers.scores import Scoring
from hydra_tf.ops.counts import check_density
from hydra_tf.ops.fake_quantization import fake_quantized_weights


def owner_of(view: Any) -> Any:
    """Returns the masked layer that a weight belongs to."""
    # Not an attribute: Keras saves whatever layers it finds in those.
    return view._owner if isinstance(view, WeightOfLayer) else view


class MaskView:
    """The mask of one weight: scores, density and effective kernel.

    A masked layer whose only masked weight is its `kernel` is one itself; of
    others, `WeightOfLayer` is.
    """

    # What a layer that is not built yet was asked for.
    unbuilt: MaskSettings | None = None

    name: str
    kernel: Any
    compute_dtype: str
    phase: str | None

    @property
    def masked_kernel(self) -> MaskedWeight:
        """The weight with its scores, which makes the mask."""
        raise NotImplementedError

    # --- mask and effective kernel -----------------------------------------

    @property
    def mask(self) -> tf.Tensor:
        """Float32 zeros and ones, of the kernel's shape.

        Differentiable with respect to the scores (straight-through) where
        the phase trains them.
        """
        return self.masked_kernel.mask(self.phase)

    @property
    def stored_mask(self) -> ConstantMask:
        """The mask of the finetune phase, a tensor where one is needed."""
        return ConstantMask(self.masked_kernel)

    @property
    def score_mask(self) -> tf.Tensor:
        """Which of the scores stay: float32 zeros and ones of their shape."""
        return self.scoring.mask()

    @property
    def effective_kernel(self) -> tf.Tensor:
        """`kernel * mask`, in the layer's compute dtype.

        (Of a network with masked channels, while scores train: with the mask
        of the channels that the layer reads.)
        """
        return tf.cast(self.exact_kernel, self.compute_dtype)

    @property
    def exact_kernel(self) -> tf.Tensor:
        """The effective kernel in the precision of the weights."""
        weight = self.masked_kernel
        kernel = weight.effective(self.phase)
        if owner_of(self).rounds_to_int8:
            return fake_quantized_weights(kernel, weight.axes.outputs)
        return kernel

    def kernel_for_call(self) -> tf.Tensor:
        """The effective kernel, or the one that a context shares."""
        kernel = kernel_scope.shared_kernel(self)
        return self.effective_kernel if kernel is None else kernel

    # --- scores and density ------------------------------------------------

    scoring = property(
        operator.attrgetter("masked_kernel.scoring"),
        doc="`Scoring`: scores, density and rate, which layers may share.",
    )
    scores = property(
        operator.attrgetter("scoring.values"),
        doc="Variable, of the kernel's dtype.",
    )
    num_units = property(
        operator.attrgetter("scoring.size"),
        doc="Number of scores that compete.",
    )
    live_density = property(
        operator.attrgetter("scoring.live_density"),
        doc="The density now, learned or not; a scalar tensor.",
    )
    expected_density = property(
        operator.attrgetter("masked_kernel.expected_density"),
        doc="See `MaskedWeight.expected_density`.",
    )
    unit_norms = property(
        operator.attrgetter("masked_kernel.unit_norms"),
        doc="See `MaskedWeight.unit_norms`.",
    )
    fan_in = property(
        operator.attrgetter("masked_kernel.axes.fan_in"),
        doc="Number of inputs that one output of the kernel reads.",
    )

    @property
    def granularity(self) -> str:
        """`"weight"`, `"N:M"`, or the kind of unit, such as `"channel"`."""
        if self.unbuilt is not None:
            return self.unbuilt.granularity
        return self.masked_kernel.granularity

    @property
    def rate(self) -> keras.Variable | None:
        """What a learned density is the sigmoid of; `None` if not learned."""
        return None if self.unbuilt is not None else self.scoring.rate

    @property
    def density(self) -> Any:
        """Fraction of entries kept: a weight (a float until built)."""
        if self.unbuilt is not None:
            return self.unbuilt.density
        return self.scoring.density

    @density.setter
    def density(self, value: float) -> None:
        check_density(value)
        check_fixed_density(self.granularity, float(value))
        if self.rate is not None:
            raise InputError(
                f"layer '{self.name}' learns its density: "
                "stop_learning_density makes it a number that can be set"
            )
        if self.unbuilt is not None:
            self.unbuilt = dataclasses.replace(self.unbuilt, density=value)
        else:
            self.scoring.density.assign(float(value))

    @property
    def min_density(self) -> float | None:
        """Least density that may be learned; `None` if it is not learned."""
        if self.unbuilt is not None:
            return self.unbuilt.min_density
        return self.scoring.min_density

    @property
    def learns(self) -> str:
        """What trains of a learned density: "both", "scores" or "rates"."""
        if self.unbuilt is not None:
            return self.unbuilt.learns
        return self.scoring.learns

    @learns.setter
    def learns(self, value: str) -> None:
        if self.unbuilt is not None:
            self.unbuilt = dataclasses.replace(self.unbuilt, learns=value)
        else:
            self.scoring.learns = value

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, for the whole group of the layer.

        Args:
            min_density: Float in [0, 1), the least density.
            density: Float in (0, 1], the density to start from.
        """
        self.check_learnable()
        self.scoring.learn_density(min_density, density)

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the group's density, which trains no more."""
        self.check_learnable()
        self.scoring.stop_learning_density(density)

    def check_learnable(self) -> None:
        """Raises `InputError` unless the layer may learn its density."""
        if not self.masked_kernel.learnable:
            raise InputError(
                f"layer '{self.name}' has no density to learn: "
                + (
                    f"it keeps {self.granularity} weights"
                    if self.prunable
                    else "its channels cannot be removed"
                )
            )

    @property
    def prunable(self) -> bool:
        """Whether there is a density to choose.

        Not if its channels cannot be removed.
        """
        return self.unbuilt is not None or self.masked_kernel.prunable

    # --- layers that share scores ------------------------------------------

    def share_scores(self, scoring: Scoring, *, other: bool = False) -> None:
        """Uses the scores, density and rate of another layer of its group.

        Args:
            scoring: The `scoring` of that layer.
            other: Whether they are for the channels on the other side of this
                layer than its own.
        """
        if other:
            self.masked_kernel.other_scoring = scoring
        else:
            self.masked_kernel.scoring = scoring
        owner_of(self).apply_phase()

    def connect(self) -> None:
        """Lets the scores train: the layers of its groups share them now."""
        owner = owner_of(self)
        if not owner.is_connected:
            owner.is_connected = True
            owner.apply_phase()

    def reset_scores(self) -> None:
        """Sets the scores to what the initializer makes of the kernel."""
        self.scores.assign(self.masked_kernel.initial_scores())


class WeightOfLayer(MaskView):
    """One masked weight of a layer that has several, or not a `kernel`.

    Args:
        owner: The masked layer.
        attribute: Name of the weight, an attribute of the layer.
        weight: The weight with its mask.
    """

    def __init__(
        self, owner: Any, attribute: str, weight: MaskedWeight
    ) -> None:
        self._owner = owner
        self._weight = weight
        self.attribute = attribute

    @property
    def masked_kernel(self) -> MaskedWeight:
        return self._weight

    @property
    def name(self) -> str:  # type: ignore[override]
        """The layer's name and the attribute's: `"lstm_cell/kernel"`."""
        return f"{self._owner.name}/{self.attribute}"

    @property
    def kernel(self) -> keras.Variable:  # type: ignore[override]
        """The weight, a variable."""
        return self._weight.variable

    @property
    def phase(self) -> str | None:  # type: ignore[override]
        """The layer's phase."""
        return self._owner.phase

    @phase.setter
    def phase(self, value: str | None) -> None:
        self._owner.phase = value

    @property
    def compute_dtype(self) -> str:  # type: ignore[override]
        """The layer's."""
        return self._owner.compute_dtype

    @property
    def plain_class(self) -> type[keras.layers.Layer]:
        """The class of the layer when it is stripped."""
        return self._owner.plain_class

    @property
    def trainable(self) -> bool:
        """Whether the layer trains at all."""
        return self._owner.trainable

    @property
    def variables(self) -> list[keras.Variable]:
        """The weight and the variables of its scores."""
        return [self._weight.variable, *self._weight.variables]
