"""What competes in a mask: scores, and how many of them are kept.

A layer owns one set of scores; layers whose channels live and die together
share one.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.ops.masks import check_density
from hydra_tf.ops.masks import topk_mask
from hydra_tf.ops.rates import check_min_density
from hydra_tf.ops.rates import density_of_rate
from hydra_tf.ops.rates import rate_of_density
from hydra_tf.registry.methods import LEARN

LEARNS = tuple(LEARN.choices)


def check_learns(value: Any, name: str = "learns") -> None:
    """Raises `InputError` unless a value says what the prune phase learns."""
    if value not in LEARNS:
        raise InputError(
            f"`{name}` must be one of {', '.join(LEARNS)}. "
            f"{close_matches(str(value), LEARNS)} Received: {name}={value!r}"
        )


class WatchedVariable(keras.Variable):
    """A variable that calls back after it was assigned or restored.

    The finetune phase reads a stored mask. Whoever assigns scores or a density
    by hand, or restores a `tf.train.Checkpoint`, then gets the new mask without
    another call.
    """

    def __init__(self, *args: Any, on_assign: Callable[[], None], **kwargs):
        self._on_assign = on_assign
        super().__init__(*args, **kwargs)

    def assign(self, value: Any) -> Any:
        result = super().assign(value)
        self._on_assign()
        return result

    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        result = super()._restore_from_tensors(restored_tensors)
        self._on_assign()
        return result

    def __float__(self) -> float:
        # Keras's own fails for the variables of a distribution strategy.
        return float(keras.ops.convert_to_numpy(self))


class DerivedVariable(WatchedVariable):
    """A stored mask, which only its layer can change.

    Weights taken from another phase carry a mask that is out of date there;
    calling back after it arrived derives it anew.
    """

    def store(self, value: Any) -> None:
        """Assigns without calling back."""
        keras.Variable.assign(self, value)


class Scoring:
    """Scores that compete, and the density that decides how many stay.

    Args:
        initializer: Callable `(shape, dtype)`, the first scores.
        shape: Their shape.
        density: Float in (0, 1].
        min_density: Least density that may be learned; `None` if the density
            is not learned.
        prefix: Put before the names of the variables.

    Attributes:
        values: Float32 variable, the scores.
        density: Float64 scalar variable, the density if it is not learned.
        rate: Float32 scalar variable whose sigmoid is the learned density;
            `None` if it is not learned.
        min_density: See above.
        users: The layers whose masks these scores make.
    """

    def __init__(
        self,
        initializer: Callable[..., Any],
        shape: tuple[int, ...],
        density: float,
        min_density: float | None = None,
        prefix: str = "",
    ) -> None:
        self._prefix = prefix
        self._users: list[weakref.ref[Any]] = []
        self.values = WatchedVariable(
            initializer,
            shape=shape,
            dtype="float32",
            autocast=False,
            name=f"{prefix}scores",
            on_assign=self._changed,
        )
        self.density = WatchedVariable(
            # Not a Keras constant, which would pass through float32.
            lambda shape, dtype: tf.constant(density, dtype),
            shape=(),
            dtype="float64",
            trainable=False,
            autocast=False,
            name=f"{prefix}density",
            on_assign=self._changed,
        )
        self.rate: keras.Variable | None = None
        self.min_density: float | None = None
        if min_density is not None:
            self._make_rate(min_density, density)

    @property
    def users(self) -> list[Any]:
        """The layers whose masks these scores make."""
        return [user for ref in self._users if (user := ref()) is not None]

    def add_user(self, layer: Any) -> None:
        """Tells `layer` from now on when the mask changes."""
        if all(user is not layer for user in self.users):
            self._users.append(weakref.ref(layer))

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
        return topk_mask(self.values.value, self.live_density)

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, from `density` on."""
        check_density(density)
        check_min_density(min_density)
        self._make_rate(float(min_density), float(density))
        for user in self.users:
            user.adopt_scores()
        self._changed()

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the density, which trains no more."""
        check_density(density)
        self.rate = self.min_density = None
        for user in self.users:
            user.adopt_scores()
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
            self.rate = WatchedVariable(
                lambda shape, dtype: tf.constant(rate, dtype),
                shape=(),
                dtype="float32",
                autocast=False,
                name=f"{self._prefix}rate",
                on_assign=self._changed,
            )

    def _changed(self) -> None:
        for user in self.users:
            user.refresh_mask()
