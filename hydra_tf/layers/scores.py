"""What competes in a mask: scores, and how many of them are kept.

A masked weight has scores of its own; weights whose channels live and die
together share them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.keras_internals import WatchedVariable
from hydra_tf.layers.mask_settings import check_learns
from hydra_tf.ops.counts import check_density
from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.masks import mask_of_count
from hydra_tf.ops.masks import n_of_m_mask
from hydra_tf.ops.masks import topk_mask
from hydra_tf.ops.rates import check_min_density
from hydra_tf.ops.rates import density_of_rate
from hydra_tf.ops.rates import rate_of_density
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


class Density(WatchedVariable):
    """The fraction of scores that stay, and the exact count that it means.

    A float of the layer's dtype cannot tell every count of a large layer from
    the next: an assignment sets the count from the number as it was given, and
    `float(density)` gives a number of that count back.

    Args:
        initializer: Callable `(shape, dtype)`.
        size: Number of scores.
        count: The integer variable that holds the count.
        **kwargs: Passed to `WatchedVariable`.
    """

    def __init__(
        self,
        initializer: Callable[..., Any],
        *,
        size: int,
        count: WatchedVariable,
        **kwargs: Any,
    ) -> None:
        self._size = size
        self._count = count
        super().__init__(
            initializer, shape=(), trainable=False, autocast=False, **kwargs
        )

    def assign_quietly(self, value: Any) -> Any:
        self._count.assign_quietly(kept_count(value, self._size))
        return super().assign_quietly(value)

    def __float__(self) -> float:
        value = keras.ops.convert_to_numpy(self)
        count = int(keras.ops.convert_to_numpy(self._count))
        ratio = count / max(self._size, 1)
        # A ratio of counts, or else a short decimal.
        if value.dtype.type(ratio) != value:
            decimal = float(str(value))
            if kept_count(decimal, self._size) == count:
                return decimal
        return ratio


class Scoring(tf.Module):
    """Scores that compete, and the density that decides how many stay.

    A module, so that TensorFlow's checkpoints find the variables.

    Args:
        initializer: Callable `(shape, dtype)`, the first scores.
        shape: Their shape.
        density: Float in (0, 1].
        min_density: Least density that may be learned; `None` if the density
            is not learned.
        learns: What trains of a learned density: `"both"` (rate and scores),
            `"scores"` or `"rates"`.
        granularity: `"N:M"` if N of every M scores stay, else any other.
        input_axis: With N:M, the axis along which M scores compete.
        dtype: Of the float variables, a name.
        prefix: Put before the names of the variables.

    Attributes:
        values: Float variable, the scores.
        density: `Density`, if it is not learned.
        count: Int64 scalar variable, how many scores that density keeps.
        kept: Bool variable of the scores' shape, the constant mask. Once a
            layer is in the finetune phase it follows assignments to the others.
        rate: Float scalar variable whose sigmoid is the learned density;
            `None` if it is not learned.
        min_density: See above.
    """

    rate: keras.Variable | None = None
    min_density: float | None = None

    def __init__(
        self,
        initializer: Callable[..., Any],
        shape: tuple[int, ...],
        density: float,
        min_density: float | None = None,
        *,
        learns: str = "both",
        granularity: str = WEIGHT,
        input_axis: int = -2,
        dtype: str = "float32",
        prefix: str = "",
    ) -> None:
        super().__init__()
        self._granularity = granularity
        self._input_axis = input_axis
        self._dtype = dtype
        self._prefix = prefix
        self._learns = learns
        self._follows = False
        # The ids of layers that do not let the scores train.
        self._held_by: set[int] = set()
        self.values = self._variable("scores", initializer, shape, dtype)
        kept = kept_count(density, self.size)
        self.count = self._variable(
            "count",
            lambda shape, dtype: tf.constant(kept, dtype),
            (),
            "int64",
            trainable=False,
        )
        self.density = Density(
            lambda shape, dtype: tf.constant(density, dtype),
            size=self.size,
            count=self.count,
            dtype=dtype,
            name=f"{prefix}density",
            on_assign=self._assigned,
        )
        if min_density is not None:
            self._make_rate(min_density, density)
        # Watched as well: weights taken from another phase carry a mask that is
        # out of date.
        self.kept = self._variable(
            "mask",
            lambda shape, dtype: self.mask() > 0,
            shape,
            "bool",
            trainable=False,
        )

    def _variable(
        self,
        name: str,
        initializer: Callable[..., Any],
        shape: tuple[int, ...],
        dtype: str,
        trainable: bool = True,
    ) -> WatchedVariable:
        return WatchedVariable(
            initializer,
            shape=shape,
            dtype=dtype,
            trainable=trainable,
            autocast=False,
            name=f"{self._prefix}{name}",
            on_assign=self._assigned,
        )

    @property
    def stored(self) -> dict[str, WatchedVariable]:
        """The variables that files hold; the others follow from them."""
        variables: dict[str, WatchedVariable]
        variables = {"scores": self.values, "density": self.density}
        if self.rate is not None:
            variables["rate"] = self.rate
        return variables

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables."""
        # The count after the density, which sets it: it is the exact one.
        return [*self.stored.values(), self.count, self.kept]

    @property
    def size(self) -> int:
        """Number of scores."""
        return int(np.prod(self.values.shape))

    @property
    def live_density(self) -> tf.Tensor:
        """The density now, learned or not; differentiable in the rate."""
        if self.rate is None:
            return tf.convert_to_tensor(self.density.value)
        rate = tf.cast(self.rate.value, tf.float32)
        return density_of_rate(rate, float(self.min_density or 0.0))

    @property
    def current_density(self) -> float:
        """The density now as a number, exact where it is not learned."""
        return float(self.density if self.rate is None else self.live_density)

    @property
    def num_kept(self) -> int:
        """How many of the scores the density of now keeps."""
        if self.rate is None:
            return int(keras.ops.convert_to_numpy(self.count))
        return kept_count(self.live_density.numpy(), self.size)

    def mask(self) -> tf.Tensor:
        """Zeros and ones of the scores' shape, float32; straight-through."""
        if not self.size:
            return tf.zeros(self.values.shape)
        # What float32 cannot tell apart are ties.
        scores = tf.cast(self.values.value, tf.float32)
        if is_n_of_m(self._granularity):
            n, m = n_of_m(self._granularity)
            return n_of_m_mask(scores, n, m, self._input_axis)
        if self.rate is None:
            return mask_of_count(scores, self.count.value)
        return topk_mask(scores, self.live_density)

    def constant_mask(self) -> tf.Tensor:
        """The same as it was when scores or density were last assigned."""
        return tf.cast(self.kept.value, tf.float32)

    def refresh(self) -> None:
        """Derives the constant mask from scores and density."""
        self.kept.assign_quietly(self.mask() > 0)

    def follow(self) -> None:
        """Derives the constant mask, now and after each assignment."""
        self._follows = True
        self.refresh()

    def _assigned(self) -> None:
        if self._follows:
            self.refresh()

    # --- what trains -------------------------------------------------------

    @property
    def learns(self) -> str:
        """What trains of a learned density: "both", "scores" or "rates"."""
        return self._learns

    @learns.setter
    def learns(self, value: str) -> None:
        check_learns(value)
        self._learns = value
        self._choose_trainable()

    def let_train(self, layer: Any, lets: bool) -> None:
        """Says for one of the layers that share the scores if they may train.

        They do if all layers let them.
        """
        if lets:
            self._held_by.discard(id(layer))
        else:
            self._held_by.add(id(layer))
        self._choose_trainable()

    def _choose_trainable(self) -> None:
        trains = not self._held_by
        learns = "both" if self.rate is None else self._learns
        self.values.trainable = trains and learns != "rates"
        if self.rate is not None:
            self.rate.trainable = trains and learns != "scores"

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, from `density` on."""
        check_density(density)
        check_min_density(min_density)
        self._make_rate(float(min_density), float(density))
        self._choose_trainable()
        self._assigned()

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the density, which trains no more."""
        check_density(density)
        if self.rate is not None:
            del self.rate
        self.min_density = None
        self._choose_trainable()
        self.density.assign(float(density))

    def _make_rate(self, min_density: float, density: float) -> None:
        self.min_density = min_density
        rate = rate_of_density(density, min_density)
        if self.rate is not None:
            self.rate.assign(rate)
            return
        # On the devices where the scores are.
        strategy = getattr(self.values.value, "distribute_strategy", None)
        with contextlib.ExitStack() as scopes:
            if strategy:
                scopes.enter_context(strategy.scope())
            for scope in self.values.path.split("/")[:-1]:
                scopes.enter_context(keras.name_scope(scope))
            self.rate = self._variable(
                "rate",
                lambda shape, dtype: tf.constant(rate, dtype),
                (),
                self._dtype,
            )
