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
from hydra_tf.ops.masks import n_of_m_mask
from hydra_tf.ops.masks import topk_mask
from hydra_tf.ops.rates import check_min_density
from hydra_tf.ops.rates import density_of_rate
from hydra_tf.ops.rates import rate_of_density
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


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
        prefix: Put before the names of the variables.

    Attributes:
        values: Float32 variable, the scores.
        density: Float64 scalar variable, the density if it is not learned.
        kept: Bool variable of the scores' shape, the constant mask. Once a
            layer is in the finetune phase it follows assignments to the others.
        rate: Float32 scalar variable whose sigmoid is the learned density;
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
        prefix: str = "",
    ) -> None:
        super().__init__()
        self._granularity = granularity
        self._input_axis = input_axis
        self._prefix = prefix
        self._learns = learns
        self._follows = False
        # The ids of layers that do not let the scores train.
        self._held_by: set[int] = set()
        self.values = self._variable("scores", initializer, shape, "float32")
        self.density = self._variable(
            "density",
            # Not a Keras constant, which would pass through float32.
            lambda shape, dtype: tf.constant(density, dtype),
            (),
            "float64",
            trainable=False,
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
    def stored(self) -> dict[str, keras.Variable]:
        """The variables that files hold; the mask follows from them."""
        variables = {"scores": self.values, "density": self.density}
        if self.rate is not None:
            variables["rate"] = self.rate
        return variables

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables."""
        return [*self.stored.values(), self.kept]

    @property
    def size(self) -> int:
        """Number of scores."""
        return int(np.prod(self.values.shape))

    @property
    def live_density(self) -> tf.Tensor:
        """The density now, learned or not; differentiable in the rate."""
        if self.rate is None:
            return tf.convert_to_tensor(self.density.value)
        return density_of_rate(self.rate.value, float(self.min_density or 0.0))

    def mask(self) -> tf.Tensor:
        """Zeros and ones of the scores' shape, float32; straight-through."""
        if not self.size:
            return tf.zeros(self.values.shape)
        if is_n_of_m(self._granularity):
            n, m = n_of_m(self._granularity)
            return n_of_m_mask(self.values.value, n, m, self._input_axis)
        return topk_mask(self.values.value, self.live_density)

    def constant_mask(self) -> tf.Tensor:
        """The same as it was when scores or density were last assigned."""
        return tf.cast(self.kept.value, tf.float32)

    def refresh(self) -> None:
        """Derives the constant mask from scores and density."""
        # Keras's own: not watched.
        keras.Variable.assign(self.kept, self.mask() > 0)

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
                "float32",
            )
