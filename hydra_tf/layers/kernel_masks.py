"""The mask of a kernel, at each granularity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.scores import Scoring
from hydra_tf.ops.masks import n_of_m_mask
from hydra_tf.registry.granularities import CHANNEL
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


class WeightMask:
    """Single weights compete: the mask is the top-k of scores, one a weight.

    Args:
        axes: Where the channels lie in the kernel.

    Attributes:
        axes: See above.
        scoring: The scores that belong to the layer; see `make_scores`.
        other_scoring: Those of the layers on its other side, which its mask
            depends on as well; `None` if it does not.
        own: The channels that the scores belong to; `None` if they belong to
            weights.
        other: The channels on the other side, if they are masked as well.
    """

    scoring: Scoring
    other_scoring: Scoring | None = None

    def __init__(self, axes: KernelAxes) -> None:
        self.axes = axes
        self.own: Channels | None = None
        self.other: Channels | None = None

    def make_scores(
        self,
        initializer: Callable[..., Any],
        density: float,
        min_density: float | None,
        other_min_density: float | None,
    ) -> None:
        """Makes the variables; see `Scoring`."""
        del other_min_density
        self.scoring = Scoring(
            initializer, self._scores_shape(), density, min_density
        )

    def _scores_shape(self) -> tuple[int, ...]:
        return self.axes.shape

    @property
    def sides(self) -> dict[str, Scoring]:
        """All scores that the mask depends on, by the prefix of their names."""
        sides = {"": self.scoring}
        if self.other_scoring is not None:
            sides["other_"] = self.other_scoring
        return sides

    @property
    def prunable(self) -> bool:
        """Whether there is a density to choose."""
        return True

    @property
    def learnable(self) -> bool:
        """Whether that density may be any."""
        return True

    def mask(self) -> tf.Tensor:
        """Returns float32 zeros and ones of the kernel's shape."""
        return self.score_mask()

    def score_mask(self) -> tf.Tensor:
        """Returns the same of the shape of the layer's own scores."""
        return self.scoring.mask()

    def acting_mask(self) -> tf.Tensor | None:
        """Returns what multiplies the kernel where scores train.

        `None` if nothing does.
        """
        return self.mask()

    @property
    def chosen_sides(self) -> list[tuple[Channels, Scoring]]:
        """See `MaskedLayer.chosen_sides`."""
        return [(Channels(self.scoring.size), self.scoring)]

    def expected_density(self, density: Any = None) -> tf.Tensor:
        """See `MaskedLayer.expected_density`."""
        fraction = tf.ones([])
        for channels, scores in self.chosen_sides:
            value = scores.live_density if density is None else density
            fraction *= channels.fraction(tf.cast(value, tf.float32))
        return fraction

    def sum_over_units(self, values: np.ndarray) -> np.ndarray:
        """Sums up values of the kernel's shape for each score."""
        return np.asarray(values, np.float64)


class BlockMask(WeightMask):
    """N of every M consecutive input channels stay.

    Args:
        axes: Where the channels lie in the kernel.
        granularity: `"N:M"`.
        name: Name of the layer.

    Raises:
        InputError: If M does not divide the number of input channels.
    """

    def __init__(self, axes: KernelAxes, granularity: str, name: str) -> None:
        super().__init__(axes)
        self._n, self._m = n_of_m(granularity)
        if axes.num_inputs % self._m:
            raise InputError(
                f"layer '{name}' has {axes.num_inputs} input channels, which "
                f"granularity {granularity} cannot cut into blocks of {self._m}"
            )

    @property
    def learnable(self) -> bool:
        return False

    def score_mask(self) -> tf.Tensor:
        values = self.scoring.values.value
        return n_of_m_mask(values, self._n, self._m, self.axes.input_axis)

    @property
    def chosen_sides(self) -> list[tuple[Channels, Scoring]]:
        return []

    def expected_density(self, density: Any = None) -> tf.Tensor:
        return tf.constant(self._n / self._m, tf.float32)


class ChannelMask(WeightMask):
    """Input or output channels compete.

    In a network whose channels are known (`inputs` and `outputs` are given), a
    removed channel is removed on both sides. The mask acts once, where the
    channel is read. To mask it where it is computed as well would change no
    output, but leave the scores of removed channels without a gradient.

    Args:
        axes: Where the channels lie in the kernel.
        granularity: `"channel"` or `"filter"`.
        name: Name of the layer.
        inputs: The input channels; `None` for a layer on its own.
        outputs: The output channels; `None` for a layer on its own.
        groups: Number of groups that the layer is a convolution in.
    """

    def __init__(
        self,
        axes: KernelAxes,
        granularity: str,
        name: str,
        inputs: Channels | None,
        outputs: Channels | None,
        groups: int = 1,
    ) -> None:
        super().__init__(axes)
        self._connected = inputs is not None and outputs is not None
        if not self._connected and groups > 1 and granularity == CHANNEL:
            raise InputError(
                f"layer '{name}' is a convolution in groups, whose input "
                "channels granularity 'channel' cannot prune"
            )
        for channels, size in (
            (inputs, axes.num_inputs),
            (outputs, axes.num_outputs),
        ):
            if channels is not None and channels.size != size:
                raise InputError(
                    f"layer '{name}' was given {channels.size} channels for "
                    f"{size} of its kernel of shape {axes.shape}"
                )
        # In a network, a depthwise layer hands its channels on: both sides are
        # the same ones.
        follows = axes.depthwise and self._connected
        self._owns_inputs = granularity == CHANNEL or follows
        inputs = inputs or Channels(axes.num_inputs)
        outputs = outputs or Channels(axes.num_outputs)
        self._own: Channels = inputs if self._owns_inputs else outputs
        self.own = self._own
        if self._connected and not follows:
            self.other = outputs if self._owns_inputs else inputs

    def make_scores(
        self,
        initializer: Callable[..., Any],
        density: float,
        min_density: float | None,
        other_min_density: float | None,
    ) -> None:
        super().make_scores(
            initializer, density, min_density if self.prunable else None, None
        )
        if self.other is not None and self.other.prunable:
            # Until the layer shares those of the layers there.
            self.other_scoring = Scoring(
                lambda shape, dtype: tf.ones(shape, dtype),
                (self.other.num_units,),
                density,
                other_min_density,
                prefix="other_",
            )
            for variable in (
                self.other_scoring.values,
                self.other_scoring.rate,
            ):
                if variable is not None:
                    variable.trainable = False

    def _scores_shape(self) -> tuple[int, ...]:
        return (self._own.num_units if self.prunable else 0,)

    @property
    def prunable(self) -> bool:
        return self._own.prunable

    @property
    def learnable(self) -> bool:
        return self.prunable

    def mask(self) -> tf.Tensor:
        mask = tf.ones(self.axes.shape)
        for side in (self._input_mask(), self._output_mask()):
            if side is not None:
                mask *= side
        return mask

    def acting_mask(self) -> tf.Tensor | None:
        if not self._connected:
            return self.mask()
        return None if self.axes.depthwise else self._input_mask()

    def _input_mask(self) -> tf.Tensor | None:
        mask = self._mask_of(self._owns_inputs)
        return None if mask is None else self.axes.along_inputs(mask)

    def _output_mask(self) -> tf.Tensor | None:
        mask = self._mask_of(not self._owns_inputs)
        return None if mask is None else self.axes.along_outputs(mask)

    def _mask_of(self, own: bool) -> tf.Tensor | None:
        channels = self.own if own else self.other
        scores = self.scoring if own else self.other_scoring
        if channels is None or scores is None or not channels.prunable:
            return None
        return channels.spread(scores.mask())

    @property
    def chosen_sides(self) -> list[tuple[Channels, Scoring]]:
        return [
            (channels, scores)
            for channels, scores in (
                (self.own, self.scoring),
                (self.other, self.other_scoring),
            )
            if channels is not None and scores is not None and channels.prunable
        ]

    def sum_over_units(self, values: np.ndarray) -> np.ndarray:
        if not self.prunable:
            return np.zeros(0)
        values = super().sum_over_units(values)
        return self._own.gather(
            self.axes.sum_of_inputs(values)
            if self._owns_inputs
            else self.axes.sum_of_outputs(values)
        )


def kernel_mask(
    axes: KernelAxes,
    granularity: str,
    name: str,
    inputs: Channels | None,
    outputs: Channels | None,
    groups: int = 1,
) -> WeightMask:
    """Returns the mask of a layer's kernel; see the classes."""
    if is_n_of_m(granularity):
        return BlockMask(axes, granularity, name)
    if granularity in STRUCTURED:
        return ChannelMask(axes, granularity, name, inputs, outputs, groups)
    return WeightMask(axes)
