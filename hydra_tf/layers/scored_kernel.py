"""A kernel with scores: how many of its weights or channels stay."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.kernel_masks import WeightMask
from hydra_tf.layers.kernel_masks import kernel_mask
from hydra_tf.layers.scores import DerivedVariable
from hydra_tf.layers.scores import Scoring
from hydra_tf.layers.scores import check_learns
from hydra_tf.ops.masks import check_density
from hydra_tf.ops.rates import check_min_density
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import check_granularity
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m

SCALED = "scaled"


class ScoredKernel:
    """Half of `MaskedLayer`: the scores of a kernel and their density.

    The other half says when they act and what trains.
    """

    # What the Keras layer brings.
    activation: Any
    bias: Any
    built: bool
    compute_dtype: str
    data_format: str
    kernel: Any
    name: str
    path: str
    rank: int
    use_bias: bool
    variable_dtype: str
    _trainable: bool
    _tracker: Any

    scores: Any
    rate: keras.Variable | None = None

    # Whether the layers of a model that share its scores do so now.
    is_connected = False
    _density: Any

    def _init_scores(
        self,
        *,
        density: float,
        scores_initializer: Any,
        granularity: str = WEIGHT,
        input_channels: Channels | None = None,
        output_channels: Channels | None = None,
        min_density: float | None = None,
        other_min_density: float | None = None,
        learns: str = "both",
    ) -> None:
        """Takes the arguments of `MaskedLayer` that concern scores."""
        check_density(density)
        check_granularity(granularity)
        check_learns(learns)
        for value in (min_density, other_min_density):
            if value is not None:
                check_min_density(value)
        self._granularity = granularity
        self._initial_density = float(density)
        if is_n_of_m(granularity):
            # The default stands for the density that follows.
            n, m = n_of_m(granularity)
            self._initial_density = self._fixed_density(
                n / m if density == 1 else density
            )
        self._initial_min_densities = (min_density, other_min_density)
        self.scores_initializer: Any = (
            SCALED
            if scores_initializer in (None, SCALED)
            else keras.initializers.get(scores_initializer)
        )
        self._learns = learns
        self.input_channels = Channels.from_config(input_channels)
        self.output_channels = Channels.from_config(output_channels)
        self.built_input_shape: tuple[int | None, ...] | None = None

    # --- weights -----------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        self.built_input_shape = tuple(input_shape)
        self._mask: WeightMask = kernel_mask(
            self._kernel_axes(),
            self._granularity,
            self.name,
            self.input_channels,
            self.output_channels,
            getattr(self, "groups", 1),
        )
        self._mask.make_scores(
            self._initial_scores,
            self._initial_density,
            *self._initial_min_densities,
        )
        self.adopt_scores()
        # The mask of the finetune phase. The other phases do not read it.
        self._stored_mask = DerivedVariable(
            lambda shape, dtype: self._mask.mask() > 0,
            shape=tuple(self.kernel.shape),
            dtype="bool",
            trainable=False,
            autocast=False,
            name="mask",
            on_assign=self.refresh_mask,
        )
        self._apply_phase()

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") == "kernel":
            # Cast after the mask is applied: see `effective_kernel`.
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def adopt_scores(self) -> None:
        """Makes the variables of its scores the layer's own, as they are now.

        For `Scoring`, when a rate comes or goes, or layers begin to share.
        """
        # Keras locks a layer that is built against new variables.
        locked = self._tracker.locked
        self._tracker.unlock()
        for prefix, scores in self._mask.sides.items():
            scores.add_user(self)
            for name, variable in (
                (f"{prefix}scores", scores.values),
                (f"_{prefix}density", scores.density),
                (f"{prefix}rate", scores.rate),
            ):
                self._replace_variable(name, variable)
        if locked:
            self._tracker.lock()
        if hasattr(self, "_stored_mask"):
            self._apply_phase()

    def _replace_variable(self, name: str, new: keras.Variable | None) -> None:
        old = self.__dict__.get(name)
        if old is new:
            return
        if old is not None:
            self._untrack_variable(old)  # type: ignore[attr-defined]
            # Not Layer's own way, which collects garbage every time.
            super(keras.layers.Layer, self).__delattr__(name)
        if new is not None:
            setattr(self, name, new)

    def connect(self) -> None:
        """Takes note that the layers of its groups share their scores."""
        if not self.is_connected:
            self.is_connected = True
            self._apply_phase()

    def share_scores(self, scores: Scoring, *, other: bool = False) -> None:
        """Uses the scores, density and rate of another layer of its group.

        Args:
            scores: The `scoring` of that layer.
            other: Whether they are for the channels on the other side of this
                layer than its own.
        """
        if other:
            self._mask.other_scoring = scores
        else:
            self._mask.scoring = scores
        self.adopt_scores()

    @property
    def scoring(self) -> Scoring:
        """Scoring, density and rate in one, which other layers may share."""
        return self._mask.scoring

    @property
    def other_scoring(self) -> Scoring | None:
        """Likewise of the layers on its other side, if the mask needs them."""
        return self._mask.other_scoring

    @property
    def has_initial_scores(self) -> bool:
        """Whether the scores still are those scaled from the layer's kernel."""
        if self.scores_initializer != SCALED:
            return False
        initial = self._initial_scores(self.scores.shape, "float32")
        return np.array_equal(ops.convert_to_numpy(self.scores), initial)

    @property
    def awaits_other_scores(self) -> bool:
        """Whether the scores for its other side are only a stand-in so far."""
        other = self._mask.other_scoring
        return other is not None and bool(
            np.all(ops.convert_to_numpy(other.values) == 1.0)
        )

    @property
    def own_channels(self) -> Channels | None:
        """The channels that scores belong to, `None` if to weights."""
        return self._mask.own

    @property
    def other_channels(self) -> Channels | None:
        """The channels on the other side, if they are masked as well."""
        return self._mask.other

    def _kernel_axes(self) -> KernelAxes:
        """Says where the channels lie in the kernel."""
        return KernelAxes(self.kernel.shape)

    def _initial_scores(self, shape: Any, dtype: Any = None) -> tf.Tensor:
        if self.scores_initializer == SCALED:
            if self._granularity in STRUCTURED:
                return scaled_scores(tf.cast(self.unit_norms(), dtype), 1)
            kernel = tf.cast(tf.convert_to_tensor(self.kernel.value), dtype)
            return scaled_scores(kernel, self.fan_in)
        return self.scores_initializer(shape, dtype=dtype)

    @property
    def fan_in(self) -> int:
        """Number of inputs that one output of the kernel reads."""
        return self._kernel_axes().fan_in

    @property
    def density(self) -> keras.Variable | float:
        """Fraction of entries kept: a weight (a float until built)."""
        return self._density if self.built else self._initial_density

    @density.setter
    def density(self, value: float) -> None:
        check_density(value)
        if is_n_of_m(self._granularity):
            value = self._fixed_density(value)
        if self.rate is not None:
            raise InputError(
                f"layer '{self.name}' learns its density: "
                "stop_learning_density makes it a number that can be set"
            )
        if self.built:
            self._density.assign(float(value))
        else:
            self._initial_density = float(value)

    def _fixed_density(self, value: float) -> float:
        n, m = n_of_m(self._granularity)
        if float(value) != n / m:
            raise InputError(
                f"`density` of a layer of granularity {n}:{m} is {n / m:g}. "
                f"Received: density={value}"
            )
        return n / m

    # --- granularity -------------------------------------------------------

    @property
    def granularity(self) -> str:
        """`"weight"`, `"channel"`, `"filter"` or `"N:M"`."""
        return self._granularity

    @property
    def prunable(self) -> bool:
        """Whether the layer has a density of its own to choose.

        Not if its channels cannot be removed.
        """
        return not self.built or self._mask.prunable

    @property
    def num_units(self) -> int:
        """Number of scores that compete."""
        return self._mask.scoring.size

    def unit_norms(self, values: Any = None) -> np.ndarray:
        """Returns the sum of absolute weights that each score stands for.

        Args:
            values: Array of the kernel's shape to sum up; by default the
                absolute kernel.

        Returns:
            Float64 array of the scores' shape.
        """
        if values is None:
            values = np.abs(ops.convert_to_numpy(self.kernel))
        return self._mask.sum_over_units(np.asarray(values))

    @property
    def score_mask(self) -> tf.Tensor:
        """Which of the scores stay: float32 zeros and ones of their shape."""
        return self._mask.score_mask()

    @property
    def live_density(self) -> tf.Tensor:
        """The density now, whether learned or not; a scalar tensor."""
        return self._mask.scoring.live_density

    @property
    def min_density(self) -> float | None:
        """Least density that may be learned; `None` if it is not learned."""
        if self.built:
            return self._mask.scoring.min_density
        return self._initial_min_densities[0]

    @property
    def learns(self) -> str:
        """What trains of a learned density: "both", "scores" or "rates"."""
        return self._learns

    @learns.setter
    def learns(self, value: str) -> None:
        check_learns(value)
        self._learns = value
        self._apply_phase()

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, for the whole group of the layer.

        Args:
            min_density: Float in [0, 1), the least density.
            density: Float in (0, 1], the density to start from.
        """
        self._check_learnable()
        self._mask.scoring.learn_density(min_density, density)

    def _check_learnable(self) -> None:
        if not self._mask.learnable:
            raise InputError(
                f"layer '{self.name}' has no density to learn: "
                + (
                    f"it keeps {self._granularity} weights"
                    if self.prunable
                    else "its channels cannot be removed"
                )
            )

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the group's density, which trains no more."""
        self._check_learnable()
        self._mask.scoring.stop_learning_density(density)

    @property
    def chosen_sides(self) -> list[tuple[Channels, Scoring]]:
        """What densities choose of the kernel, one entry a side.

        Pairs of the channels along that side and the scores that compete for
        them, the layer's own first; single weights count as channels. Empty
        if nothing can be chosen.
        """
        return self._mask.chosen_sides

    def expected_density(self, density: Any = None) -> tf.Tensor:
        """Returns the fraction of the kernel that the densities keep.

        Continuous, not rounded to counts, and differentiable in the rates.

        Args:
            density: Float in (0, 1] to take in place of every density that
                can be chosen.

        Returns:
            Float32 scalar tensor.
        """
        return self._mask.expected_density(density)

    def _scores_config(self) -> dict[str, Any]:
        """Returns the arguments that concern scores, as they are now."""
        scores_initializer = self.scores_initializer
        if scores_initializer != SCALED:
            scores_initializer = keras.initializers.serialize(
                scores_initializer
            )
        return {
            "density": float(self.density),
            "scores_initializer": scores_initializer,
            "granularity": self._granularity,
            "input_channels": _config(self.input_channels),
            "output_channels": _config(self.output_channels),
            "min_density": self.min_density,
            "other_min_density": self._other_min_density(),
            "learns": self._learns,
        }

    def _other_min_density(self) -> float | None:
        if not self.built:
            return self._initial_min_densities[1]
        other = self._mask.other_scoring
        return None if other is None else other.min_density

    def _apply_phase(self) -> None:
        raise NotImplementedError

    def refresh_mask(self) -> None:
        """Takes note that scores or density have changed."""
        raise NotImplementedError


def _config(channels: Channels | None) -> dict[str, Any] | None:
    return None if channels is None else channels.to_config()


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
