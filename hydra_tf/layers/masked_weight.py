"""A weight of a layer, its scores, and the mask that they make."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import WatchedVariable
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.mask_settings import SCALED
from hydra_tf.layers.mask_settings import MaskSettings
from hydra_tf.layers.scores import Scoring
from hydra_tf.registry.granularities import CHANNEL
from hydra_tf.registry.granularities import PARTS
from hydra_tf.registry.granularities import READ
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


@dataclasses.dataclass(frozen=True)
class Side:
    """Channels of a weight that can be removed, and the scores that decide.

    Single weights count as channels along all axes.

    Attributes:
        channels: The channels.
        scoring: The scores that compete for them.
        axes: The axes that they lie along.
        acts: Whether their mask multiplies the weight where scores train.
    """

    channels: Channels
    scoring: Scoring
    axes: tuple[int, ...]
    acts: bool


class MaskedWeight(tf.Module):
    """A weight of a layer, and which of its entries stay.

    The mask is `topk_mask` of the scores (with granularity N:M,
    `n_of_m_mask`), one score a weight or a unit of channels.

    In a network whose channels are known (those of both sides are given), a
    removed channel is removed on both sides, so that the mask depends on the
    scores of other layers as well. It acts once, where the channel is read. To
    mask it where it is computed as well would change no output, but leave the
    scores of removed channels without a gradient.

    Args:
        variable: The weight.
        axes: Where its channels lie.
        settings: What the mask is to be.
        layer_name: Name of the layer, for errors.
        groups: Number of groups that the layer is a convolution in.
        prefix: Put before the names of the scores and what goes with them,
            where a layer has several masked weights.

    Attributes:
        variable: See above.
        axes: See above.
        scoring: The scores that belong to the weight.
        other_scoring: Those of the layers on its other side, which its mask
            depends on as well; `None` if it does not.
        own: What the scores compete for: channels, or single weights.
        other: The channels on the other side, if they are masked as well.
        dense_gradients: Whether gradients reach pruned entries in the finetune
            phase, straight through the mask. Of a training alone: no file
            holds it, nor a copy.
        trains_pruned: Whether an optimiser moves pruned entries there.

    Raises:
        InputError: If channels and weight do not fit together, or M does not
            divide the number of input channels.
    """

    other_scoring: Scoring | None = None
    dense_gradients: bool = False
    trains_pruned: bool = False

    def __init__(
        self,
        variable: keras.Variable,
        axes: KernelAxes,
        settings: MaskSettings,
        *,
        layer_name: str,
        groups: int = 1,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self._prefix = prefix
        self.variable = variable
        self.axes = axes
        self._settings = settings
        self._granularity = settings.granularity
        self._structured = self._granularity in STRUCTURED
        self._connected = False
        self._owns_inputs = self._granularity in READ
        self.own = Channels(axes.count(axes.weights))
        self.other: Channels | None = None
        if self._structured:
            _check_channels(layer_name, axes, settings, groups)
            self._take_channels()
        elif is_n_of_m(self._granularity):
            _check_blocks(layer_name, axes, self._granularity)
        self._make_scores()

    def _take_channels(self) -> None:
        axes, settings = self.axes, self._settings
        self._connected = None not in (
            settings.input_channels,
            settings.output_channels,
        )
        inputs = settings.input_channels or Channels(axes.num_inputs)
        outputs = settings.output_channels or Channels(axes.num_outputs)
        # In a network, a depthwise layer hands its channels on: both sides are
        # the same ones.
        follows = axes.depthwise and self._connected
        self._owns_inputs |= follows
        self.own, other = (
            (inputs, outputs) if self._owns_inputs else (outputs, inputs)
        )
        if self._connected and not follows:
            self.other = other

    def _make_scores(self) -> None:
        settings = self._settings
        self.scoring = Scoring(
            lambda shape, dtype: self.initial_scores(),
            self._scores_shape,
            settings.density,
            settings.min_density if self.prunable else None,
            learns=settings.learns,
            granularity=self._granularity,
            input_axis=self.axes.inputs[-1],
            dtype=self._dtype,
            prefix=self._prefix,
        )
        if self.other is not None and self.other.prunable:
            # Until the layer shares those of the layers there.
            self.other_scoring = Scoring(
                lambda shape, dtype: tf.ones(shape, dtype),
                (self.other.num_units,),
                settings.density,
                settings.other_min_density,
                dtype=self._dtype,
                prefix=f"{self._prefix}other_",
            )
            self.other_scoring.let_train(self, False)

    @property
    def granularity(self) -> str:
        """`"weight"`, `"N:M"`, or the kind of unit, such as `"channel"`."""
        return self._granularity

    @property
    def settings(self) -> MaskSettings:
        """The settings, with densities as they are now."""
        other = self.other_scoring
        return dataclasses.replace(
            self._settings,
            density=float(self.scoring.density),
            min_density=self.scoring.min_density,
            other_min_density=None if other is None else other.min_density,
            learns=self.scoring.learns,
        )

    @property
    def _scores_shape(self) -> tuple[int, ...]:
        if not self._structured:
            return self.axes.shape
        return (self.own.num_units if self.prunable else 0,)

    @property
    def _dtype(self) -> str:
        return keras.backend.standardize_dtype(self.variable.dtype)

    def initial_scores(self) -> tf.Tensor:
        """Returns what the initialiser makes of the weight, in its dtype."""
        initializer = self._settings.scores_initializer
        if initializer != SCALED:
            return initializer(self._scores_shape, dtype=self._dtype)
        if self._structured:
            norms = tf.cast(self.unit_norms(), tf.float32)
            return tf.cast(scaled_scores(norms, 1), self._dtype)
        weight = tf.cast(self.variable.value, tf.float32)
        return tf.cast(scaled_scores(weight, self.axes.fan_in), self._dtype)

    @property
    def has_initial_scores(self) -> bool:
        """Whether the scores still are those scaled from the weight."""
        return self._settings.scores_initializer == SCALED and np.array_equal(
            keras.ops.convert_to_numpy(self.scoring.values),
            self.initial_scores(),
        )

    @property
    def awaits_other_scores(self) -> bool:
        """Whether the scores for its other side are only a stand-in so far."""
        return self.other_scoring is not None and bool(
            np.all(keras.ops.convert_to_numpy(self.other_scoring.values) == 1.0)
        )

    # --- mask --------------------------------------------------------------

    @property
    def scorings(self) -> list[Scoring]:
        """All scores that the mask depends on, its own first."""
        if self.other_scoring is None:
            return [self.scoring]
        return [self.scoring, self.other_scoring]

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of all scores, once each."""
        variables = {
            id(variable): variable
            for scoring in self.scorings
            for variable in scoring.variables
        }
        return list(variables.values())

    @property
    def stored(self) -> dict[str, WatchedVariable]:
        """What files hold of them, by the names there."""
        return {
            f"{self._prefix}{prefix}{name}": variable
            for prefix, scoring in zip(
                ("", "other_"), self.scorings, strict=False
            )
            for name, variable in scoring.stored.items()
        }

    @property
    def sides(self) -> list[Side]:
        """What the mask is the product of, the own side first."""
        if not self._structured:
            return [Side(self.own, self.scoring, self.axes.weights, acts=True)]
        axes = (self.axes.inputs, self.axes.outputs)
        own, other = axes if self._owns_inputs else axes[::-1]
        return [
            Side(
                channels,
                scoring,
                axes=along,
                acts=not self._connected
                or (along == self.axes.inputs and not self.axes.depthwise),
            )
            for channels, scoring, along in (
                (self.own, self.scoring, own),
                (self.other, self.other_scoring, other),
            )
            if channels is not None
            and scoring is not None
            and channels.prunable
        ]

    def mask(self, phase: str | None = None) -> tf.Tensor:
        """Returns float32 zeros and ones of the weight's shape.

        Args:
            phase: `"pretrain"`: all ones; `"finetune"`: the constant mask, of
                the scores and densities last assigned; else that of the scores
                and densities now, differentiable in them.
        """
        sides = [] if phase == "pretrain" else self.sides
        factors = self._factors(sides, phase) or [tf.ones([])]
        mask = functools.reduce(operator.mul, factors)
        return tf.broadcast_to(mask, self.axes.shape)

    def effective(self, phase: str | None = None) -> tf.Tensor:
        """Returns the weight times the mask that acts in a phase.

        In the finetune phase, with `dense_gradients`, its gradient is that of
        the whole weight.
        """
        sides = [] if phase == "pretrain" else self.sides
        if phase != "finetune":
            sides = [side for side in sides if side.acts]
        weight = whole = tf.convert_to_tensor(self.variable.value)
        for factor in self._factors(sides, phase):
            # At full precision: the scores' gradient needs it.
            weight *= tf.cast(factor, weight.dtype)
        if self.dense_gradients and phase == "finetune":
            # Exact, for w - w is 0.
            return whole + tf.stop_gradient(weight - whole)
        return weight

    def _factors(self, sides: list[Side], phase: str | None) -> list[tf.Tensor]:
        """The masks of the sides, shaped to broadcast over the weight."""
        return [
            self.axes.along(
                side.axes,
                side.channels.spread(
                    side.scoring.constant_mask()
                    if phase == "finetune"
                    else side.scoring.mask()
                ),
            )
            for side in sides
        ]

    # --- what can be chosen ------------------------------------------------

    @property
    def prunable(self) -> bool:
        """Whether there is a density to choose."""
        return self.own.prunable

    @property
    def learnable(self) -> bool:
        """Whether that density may be any."""
        return self.prunable and not is_n_of_m(self._granularity)

    @property
    def chosen_sides(self) -> list[tuple[Channels, Scoring]]:
        """What densities choose of the weight, one entry a side.

        Pairs of the channels along that side and the scores that compete for
        them, its own first; single weights count as channels. Empty if nothing
        can be chosen.
        """
        if is_n_of_m(self._granularity):
            return []
        return [(side.channels, side.scoring) for side in self.sides]

    def expected_density(self, density: Any = None) -> tf.Tensor:
        """Returns the fraction of the weight that the densities keep.

        Continuous, not rounded to counts, and differentiable in the rates.

        Args:
            density: Float in (0, 1] to take in place of every density that
                can be chosen.

        Returns:
            Float32 scalar tensor.
        """
        if is_n_of_m(self._granularity):
            n, m = n_of_m(self._granularity)
            return tf.constant(n / m, tf.float32)
        fraction = tf.ones([])
        for channels, scoring in self.chosen_sides:
            value = scoring.live_density if density is None else density
            fraction *= channels.fraction(tf.cast(value, tf.float32))
        return fraction

    def unit_norms(self, values: Any = None) -> np.ndarray:
        """Returns the sum of absolute weights that each score stands for.

        Args:
            values: Array of the weight's shape to sum up; by default the
                absolute weight.

        Returns:
            Float64 array of the scores' shape.
        """
        if values is None:
            values = np.abs(keras.ops.convert_to_numpy(self.variable))
        return self.unit_sums(
            tf.constant(np.asarray(values, np.float64))
        ).numpy()

    def unit_sums(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum over the entries that each score stands for.

        Args:
            values: Tensor of the weight's shape.

        Returns:
            Tensor of the scores' shape, of the same dtype.
        """
        if not self._structured:
            return values
        if not self.prunable:
            return tf.zeros(0, values.dtype)
        axes = self.axes.inputs if self._owns_inputs else self.axes.outputs
        return self.own.gather(self.axes.sums(axes, values))


class ConstantMask:
    """The finetune phase's mask, read when it is converted to a tensor.

    Args:
        weight: The masked weight.
    """

    def __init__(self, weight: MaskedWeight) -> None:
        self._weight = weight
        self.shape = weight.axes.shape

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        return tf.cast(self._weight.mask("finetune"), dtype or tf.float32)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(tf.convert_to_tensor(self), dtype)


def _check_blocks(layer_name: str, axes: KernelAxes, granularity: str) -> None:
    _, m = n_of_m(granularity)
    size = axes.num_inputs_in_blocks
    if size % m:
        raise InputError(
            f"layer '{layer_name}' has {size} input channels, which "
            f"granularity {granularity} cannot cut into blocks of {m}"
        )


def _check_channels(
    layer_name: str, axes: KernelAxes, settings: MaskSettings, groups: int
) -> None:
    sides = (
        (settings.input_channels, axes.num_inputs),
        (settings.output_channels, axes.num_outputs),
    )
    alone = any(channels is None for channels, _ in sides)
    if alone and groups > 1 and settings.granularity == CHANNEL:
        raise InputError(
            f"layer '{layer_name}' is a convolution in groups, whose input "
            "channels granularity 'channel' cannot prune"
        )
    if alone and settings.granularity in PARTS:
        raise InputError(
            f"layer '{layer_name}' is on its own, and what a "
            f"{settings.granularity} is follows from a network: "
            "hydra_tf.to_masked(model, granularity="
            f"'{settings.granularity}') masks one"
        )
    for channels, size in sides:
        if channels is not None and channels.size != size:
            raise InputError(
                f"layer '{layer_name}' was given {channels.size} channels for "
                f"{size} of its kernel of shape {axes.shape}"
            )


def scaled_scores(kernel: tf.Tensor, fan_in: int) -> tf.Tensor:
    """Returns `sqrt(6 / fan_in) * kernel / max|kernel|`.

    The first mask then keeps the largest weights. A kernel of zeros gives
    scores of zero.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), equation 4
    """
    largest = tf.reduce_max(tf.abs(kernel))
    scale = tf.cast(np.sqrt(6.0 / fan_in), kernel.dtype)
    return tf.math.divide_no_nan(scale * kernel, largest)
