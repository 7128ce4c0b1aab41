"""Optimizers whose weight decay is part of the gradient.

Not Keras' own of the same names, because the recipes were tuned with PyTorch's
rules: weight decay is added to the gradient before momentum and moments see it
(Keras decouples it, as AdamW), the momentum buffer does not hold the learning
rate (so a change of rate acts at once), and the constant that keeps a division
finite stands outside the root.

`set_masks` freezes entries of variables, which is how pruned weights stay
where they are while their neighbours are fine-tuned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import slot_index
from hydra_tf.registry.settings import Number

_WEIGHT_DECAY = Number(name="weight_decay", help="", default=0.0, lower=0)
_STABILIZER = Number(
    name="stabilizer", help="", default=1e-8, lower=0, exclude_lower=True
)


class _Untracked:
    """Holds what must not be saved with the optimizer.

    Keras and TensorFlow save every variable that they find in an optimizer's
    attributes; the masks belong to the model.
    """

    def __init__(self, value: Any):
        self.value = value


class _CoupledDecayOptimizer(keras.optimizers.Optimizer):
    """Adds `weight_decay * variable` to the gradient, and applies masks.

    Subclasses override `update_dense`, the rule itself, which receives the
    gradient with both already done.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        weight_decay: float = 0.0,
        **kwargs,
    ):
        # The base class would apply its own, decoupled decay after being
        # told of one, so it never is.
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.coupled_weight_decay = float(
            _WEIGHT_DECAY.check(0.0 if weight_decay is None else weight_decay)
        )
        self._excluded_variables = _Untracked([])
        self._excluded_pattern: str | None = None
        self._decays: list[bool] = []
        self._masks = _Untracked([])
        self._mask_by_index = _Untracked({})
        self._index_by_id = _Untracked({})

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[keras.Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Exempts variables from weight decay; call it before the first step.

        As in Keras, the choice is not saved with the optimizer.

        Args:
            var_list: Variables to exempt.
            var_names: Regular expressions; a variable is exempt if one is
                found in its path, such as `"conv2d/bias"`.

        Raises:
            ValueError: If the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` must be called before the "
                "optimizer is built, that is before its first step."
            )
        self._excluded_variables = _Untracked(list(var_list or []))
        self._excluded_pattern = "|".join(var_names or []) or None

    def set_masks(self, masks: Iterable[tuple[keras.Variable, Any]]) -> None:
        """Freezes the entries of variables where their mask is 0.

        A frozen entry gets exactly no update: neither gradient nor weight
        decay, and momentum that it had is cleared now. The masks replace those
        of an earlier call. They are read at every step, so that a mask may
        change its value, but call this again if it does, to clear the momentum
        of newly frozen entries. Compiled training functions see the masks that
        were set when they were traced.

        Args:
            masks: Pairs of a trained variable and its mask: a variable or
                array of booleans or of zeros and ones, with the variable's
                shape. A variable that is not trained is ignored.

        Raises:
            InputError: If a mask has another shape than its variable.

        Example:
        ```python
        optimizer.set_masks((layer.kernel, mask) for layer, mask in pruned)
        ```
        """
        pairs = list(masks)
        for variable, mask in pairs:
            if tuple(mask.shape) != tuple(variable.shape):
                raise InputError(
                    "`masks` must have the shapes of their variables: "
                    f"{variable.path} is {tuple(variable.shape)}, its mask "
                    f"{tuple(mask.shape)}"
                )
        self._masks = _Untracked(pairs)
        if self.built:
            self._resolve_masks()

    def build(self, variables: list[keras.Variable]) -> None:
        """Creates the slots for the trained `variables`."""
        if self.built:
            return
        super().build(variables)
        excluded = {id(each) for each in self._excluded_variables.value}
        self._decays = [
            self.coupled_weight_decay > 0
            and id(variable) not in excluded
            and not (
                self._excluded_pattern
                and re.search(self._excluded_pattern, _path(variable))
            )
            for variable in variables
        ]
        self._index_by_id = _Untracked(
            {id(variable): index for index, variable in enumerate(variables)}
        )
        self.build_slots(variables)
        self._resolve_masks()

    def build_slots(self, variables: list[keras.Variable]) -> None:
        """Creates the rule's own variables, shaped like those trained."""
        raise NotImplementedError

    def first_moments(self) -> list[keras.Variable]:
        """Returns the slots that move a variable without a gradient."""
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Updates `variable` and its slots (called by Keras)."""
        # The index is how Keras' own optimizers find their slots; it also
        # knows the per-device parts of a distributed variable.
        index = slot_index(self, variable)
        gradient = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
        if self._decays[index]:
            decay = tf.cast(self.coupled_weight_decay, variable.dtype)
            gradient += decay * variable
        mask = self._mask_by_index.value.get(index)
        if mask is not None:
            gradient *= tf.cast(mask, variable.dtype)
        self.update_dense(
            gradient, variable, tf.cast(learning_rate, variable.dtype), index
        )

    def update_dense(self, gradient, variable, learning_rate, index) -> None:
        """Applies the rule to a dense gradient that holds the decay.

        Args:
            gradient: Tensor of the variable's shape and dtype.
            variable: `tf.Variable` to update.
            learning_rate: Scalar tensor of the variable's dtype.
            index: Position of the variable's slots.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight_decay": self.coupled_weight_decay,
        }

    def _resolve_masks(self) -> None:
        """Files the masks by slot and clears the momentum they freeze."""
        index_by_id = self._index_by_id.value
        by_index = {
            index_by_id[id(variable)]: mask
            for variable, mask in self._masks.value
            if id(variable) in index_by_id
        }
        self._mask_by_index = _Untracked(by_index)
        slots = self.first_moments()
        # New slots are zero, and cannot be read inside the function whose
        # tracing builds them.
        if slots and tf.executing_eagerly():
            for index, mask in by_index.items():
                slot = slots[index]
                slot.assign(slot * tf.cast(mask, slot.dtype))


@keras.saving.register_keras_serializable(package="hydra_tf")
class SGD(_CoupledDecayOptimizer):
    """Gradient descent with a momentum buffer free of the learning rate.

    With `g = gradient + weight_decay * p`, each step does
    `b = momentum * b + g` and `p = p - learning_rate * b`; the buffer starts
    at zero, so that the first `b` is `g`. With `nesterov`, `p` moves along
    `g + momentum * b` instead.

    Args:
        learning_rate: Float or learning-rate schedule.
        momentum: Float in [0, 1).
        weight_decay: Float >= 0, coefficient of the coupled decay.
        nesterov: Whether to look ahead along the buffer.
        **kwargs: Passed to `keras.optimizers.Optimizer` (`name`, `clipnorm`,
            `gradient_accumulation_steps`, ...).

    Example:
    >>> optimizer = SGD(learning_rate=0.5, weight_decay=0.25)
    >>> weight = keras.Variable([4.0])
    >>> optimizer.apply([tf.constant([1.0])], [weight])
    >>> weight.numpy()
    array([3.], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.momentum = _decay("momentum", momentum)
        self.nesterov = bool(nesterov)

    def build_slots(self, variables):
        self.momentums = []
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def first_moments(self):
        return self.momentums

    def update_dense(self, gradient, variable, learning_rate, index):
        if not self.momentum:
            self.assign_sub(variable, learning_rate * gradient)
            return
        # One pass over memory instead of four; TensorFlow's Momentum is this
        # very rule.
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }


@keras.saving.register_keras_serializable(package="hydra_tf")
class Adam(_CoupledDecayOptimizer):
    """Adam with coupled weight decay (not AdamW).

    With `g = gradient + weight_decay * p`, step `t` (from 1) does
    `m = beta_1 * m + (1 - beta_1) * g`,
    `v = beta_2 * v + (1 - beta_2) * g**2` and moves `p` by `-learning_rate`
    times `m / (1 - beta_1**t)` over `sqrt(v / (1 - beta_2**t)) + stabilizer`.

    Args:
        learning_rate: Float or learning-rate schedule.
        beta_1: Float in [0, 1), decay of the first moment.
        beta_2: Float in [0, 1), decay of the second moment.
        stabilizer: Small positive float that keeps the division finite.
        weight_decay: Float >= 0, coefficient of the coupled decay.
        **kwargs: Passed to `keras.optimizers.Optimizer`.

    Reference:

    - [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980), algorithm 1
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        stabilizer: float = 1e-8,
        weight_decay: float = 0.0,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = _decay("beta_1", beta_1)
        self.beta_2 = _decay("beta_2", beta_2)
        self.stabilizer = float(_STABILIZER.check(stabilizer))

    def build_slots(self, variables):
        self.momentums, self.velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def first_moments(self):
        return self.momentums

    def update_dense(self, gradient, variable, learning_rate, index):
        dtype = variable.dtype
        # Scalars in float64: 1 - 0.999**t loses four digits in float32.
        step = tf.cast(self.iterations, tf.float64) + 1.0
        power_1 = tf.constant(self.beta_1, tf.float64) ** step
        power_2 = tf.constant(self.beta_2, tf.float64) ** step
        root = tf.sqrt(1.0 - power_2)
        # TensorFlow's Adam adds its constant to sqrt(v), before the bias is
        # corrected; scaled by that correction it is the one of algorithm 1.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self.momentums[index].value.handle,
            v=self.velocities[index].value.handle,
            beta1_power=tf.cast(power_1, dtype),
            beta2_power=tf.cast(power_2, dtype),
            lr=learning_rate,
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.stabilizer * root, dtype),
            grad=gradient,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "stabilizer": self.stabilizer,
        }


@keras.saving.register_keras_serializable(package="hydra_tf")
class RMSprop(_CoupledDecayOptimizer):
    """RMSprop with coupled weight decay and a rate-free momentum buffer.

    With `g = gradient + weight_decay * p`, each step does
    `v = rho * v + (1 - rho) * g**2`,
    `b = momentum * b + g / (sqrt(v) + stabilizer)` and
    `p = p - learning_rate * b`.

    Args:
        learning_rate: Float or learning-rate schedule.
        rho: Float in [0, 1), decay of the mean square.
        momentum: Float in [0, 1).
        stabilizer: Small positive float that keeps the division finite.
        weight_decay: Float >= 0, coefficient of the coupled decay.
        **kwargs: Passed to `keras.optimizers.Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        rho: float = 0.99,
        momentum: float = 0.9,
        stabilizer: float = 1e-8,
        weight_decay: float = 0.0,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho = _decay("rho", rho)
        self.momentum = _decay("momentum", momentum)
        self.stabilizer = float(_STABILIZER.check(stabilizer))

    def build_slots(self, variables):
        self.velocities = self.add_optimizer_variables(variables, "velocity")
        self.momentums = []
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def first_moments(self):
        return self.momentums

    def update_dense(self, gradient, variable, learning_rate, index):
        velocity = self.velocities[index]
        # assign returns nothing that works on every device, so the new value
        # is kept here.
        mean_square = self.rho * velocity.value + (1.0 - self.rho) * gradient**2
        self.assign(velocity, mean_square)
        move = gradient / (tf.sqrt(mean_square) + self.stabilizer)
        if self.momentum:
            move += self.momentum * self.momentums[index].value
            self.assign(self.momentums[index], move)
        self.assign_sub(variable, learning_rate * move)

    def get_config(self):
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "stabilizer": self.stabilizer,
        }


def _path(variable: keras.Variable | tf.Variable) -> str:
    """Returns the name by which a variable is excluded from decay."""
    return getattr(variable, "path", variable.name)


def _decay(name: str, value: float) -> float:
    """Returns the rate of a moving average, or raises InputError."""
    fraction = Number(
        name=name, help="", default=0.0, lower=0, upper=1, exclude_upper=True
    )
    return float(fraction.check(value))
