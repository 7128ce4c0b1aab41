"""HARP: densities that layers learn, and the target they are held to.

`learn_densities` makes them trainable, `CompressionLoss` is how far they are
above the target, and `settle_densities` rounds them to it in the end. (The
density of a rate is in `hydra_tf.ops.rates`, below the layers; the schedule of
the loss' weight in `hydra_tf.training.harp`.)

Reference:

- [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
  section 3
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers.mask_settings import check_learns
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.allocation import check_complete
from hydra_tf.pruning.channels.costs import UnitCosts
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.counts import budget_at
from hydra_tf.pruning.counts import cut_in_proportion
from hydra_tf.pruning.flops import check_resource
from hydra_tf.pruning.flops import kernel_costs
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.registry.methods import DEFAULT_DENSITY

# No layer's learned density falls below this part of the target.
_LEAST_SHARE = 0.1

_NAMES = {"weights": "weights", "flops": "FLOPs"}


def learn_densities(
    model: keras.Model,
    density: float,
    *,
    initial: str | Mapping[str, float] = "uniform",
    initial_density: float | None = None,
    learns: str = "both",
) -> None:
    """Lets the layers of a model learn how much they keep, as in HARP.

    Every prunable layer (every group of layers that share channels) gets a
    scalar `rate`, which trains in the prune phase; its density is
    `least + (1 - least) * sigmoid(rate)`, where `least` is a tenth of the
    target, so that no layer dies. What pulls the densities to the target is
    the `compression` of `hydra_tf.RobustModel`. When training has ended,
    `settle_densities` rounds what was learned to whole counts.

    Call it before `compile`. Called again, it resets the rates.

    Args:
        model: Model with masked layers, of any granularity but N:M.
        density: Float in (0, 1], the target for the whole model.
        initial: Densities to start from: the name of an allocation, or a
            mapping with one for each prunable layer, the same for layers that
            share channels.
        initial_density: Float in (0, 1] that the named allocation splits; by
            default 0.1, as in HARP, or the target if that is larger.
        learns: What trains in the prune phase: `"both"` rates and scores,
            `"rates"` or `"scores"` alone.

    Raises:
        InputError: If an argument is wrong, or there is nothing to learn. No
            layer has changed then.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")]))
    >>> learn_densities(model, 0.1, initial={"logits": 0.5})
    >>> layer = model.get_layer("logits")
    >>> round(float(layer.live_density), 6), round(layer.min_density, 6)
    (0.5, 0.01)

    Reference:

    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3
    """
    check_density(density)
    check_learns(learns)
    layers = prunable_layers(model)
    for layer in layers.values():
        layer.check_learnable()
    starts = _starts(model, density, initial, initial_density)
    least = _LEAST_SHARE * float(density)
    connect_channels(model)
    for group in channel_groups(model):
        group.leader.learn_density(least, starts[group.names[0]])
    for layer in layers.values():
        layer.learns = learns


def _starts(
    model: keras.Model,
    density: float,
    initial: str | Mapping[str, float],
    initial_density: float | None,
) -> Mapping[str, float]:
    """The density from which each prunable layer starts."""
    if isinstance(initial, Mapping):
        if initial_density is not None:
            raise InputError(
                "`initial_density` is split by a named allocation: leave it "
                "out where `initial` has the densities. "
                f"Received: initial_density={initial_density!r}"
            )
        check_complete(model, initial, "initial")
        return {name: float(value) for name, value in initial.items()}
    if initial_density is None:
        initial_density = max(DEFAULT_DENSITY, float(density))
    check_density(initial_density, "initial_density")
    if initial == "uniform":
        # Not a target yet: it may stand for less than one unit of a layer.
        return dict.fromkeys(prunable_layers(model), float(initial_density))
    return allocate(model, initial_density, initial)


def settle_densities(
    model: keras.Model, density: float, resource: str = "weights"
) -> dict[str, float]:
    """Rounds learned densities to whole counts that meet the target.

    Each layer keeps what its learned density says, `ceil(density * units)`, if
    all of it together is within the target. If it is not, all counts shrink
    in proportion until it is, and what that leaves free goes, one unit a
    layer, to those that lost the largest part of one; at least one unit stays
    in each. The target is met exactly (single weights) or as nearly as whole
    channels can from below, as `sparsity_report` counts it. Densities are
    static from then on, and saved with the model.

    Call it when the prune phase has ended, and before the finetune phase.
    (Until then a model computes with its learned densities and can be saved,
    but its total is only near the target.) Where channels share units of
    several sizes, which of them stay follows from the scores of now.

    Args:
        model: Model with learned densities.
        density: Float in (0, 1], the target, as for `learn_densities`.
        resource: What the target counts: `"weights"` or `"flops"`.

    Returns:
        The densities by layer name, an allocation.

    Raises:
        InputError: If no density is learned, an argument is wrong, or even one
            unit in each layer is more than the target. Nothing has changed
            then.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")]))
    >>> hydra_tf.learn_densities(model, 0.1, initial={"logits": 0.5})
    >>> hydra_tf.settle_densities(model, 0.1)
    {'logits': 0.1}
    """
    target = _Target(model, density, resource)
    groups = target.costs.groups
    if all(group.leader.rate is None for group in groups):
        raise InputError(
            f"model '{model.name}' has no learned density to round: "
            "learn_densities makes them trainable"
        )
    target.check()
    counts = cut_in_proportion(
        target.counts, target.least, target.costs.of, target.budget
    )
    for group, count in zip(groups, counts, strict=True):
        if group.leader.rate is not None:
            group.leader.stop_learning_density(count / group.num_units)
    return {
        name: float(layer.density)
        for name, layer in prunable_layers(model).items()
    }


def check_target(
    model: keras.Model, density: float, resource: str = "weights"
) -> None:
    """Checks that learned densities can be rounded to a target.

    What `settle_densities` would say when training has ended, this says before
    it.

    Args:
        model: Model with learned densities.
        density: Float in (0, 1], the target.
        resource: What the target counts: `"weights"` or `"flops"`.

    Raises:
        InputError: If even one unit in each layer is more than the target.
    """
    _Target(model, density, resource).check()


class _Target:
    """What the groups of a model keep now, at least, and together at most.

    Attributes:
        costs: What counts cost.
        counts: What each group keeps by its density of now.
        least: What each keeps at least.
        budget: What all may cost.
    """

    def __init__(
        self, model: keras.Model, density: float, resource: str
    ) -> None:
        check_density(density)
        check_resource(resource)
        prunable_layers(model)
        self._density = density
        self._resource = resource
        self.costs = UnitCosts(model, resource)
        self.counts = [
            group.leader.scoring.num_kept for group in self.costs.groups
        ]
        self.least = [
            count if group.leader.rate is None else 1
            for count, group in zip(self.counts, self.costs.groups, strict=True)
        ]
        self.budget = budget_at(self.costs, density)

    def check(self) -> None:
        """Raises `InputError` if the least is over the budget."""
        least = self.costs.of(self.least)
        if least > self.budget:
            raise InputError(
                f"`density` is too small: {self._density} in every layer "
                f"leaves {self.budget:,} {_NAMES[self._resource]}, but one "
                "unit in each, the least that is possible, already takes "
                f"{least:,}"
            )


class CompressionLoss:
    """The excess of a model's densities over a target, relative to it.

    Computes `max(current / target - 1, 0)`. `current` is the fraction of all
    weights in masked layers that the densities of this moment keep, the
    learned ones as the continuous numbers that they are; so the loss has a
    gradient with respect to the layers' rates. `target` is the same fraction
    at one density for all. That is the density itself where single weights
    are pruned; where channels are, a layer between two that are pruned keeps
    about its square.

    With `resource="flops"`, each weight counts as often as it is used for one
    example.

    Args:
        model: Model with masked layers, built.
        density: Float in (0, 1], the target.
        resource: `"weights"` or `"flops"`.

    Attributes:
        target: Float, the fraction that may be kept.

    Raises:
        InputError: If an argument is wrong, or FLOPs are unknown because the
            model was built for images of any size.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(
    ...     keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]),
    ...     density=0.5)
    >>> float(hydra_tf.CompressionLoss(model, 0.25)())
    1.0

    Reference:

    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3.3
    """

    def __init__(
        self, model: keras.Model, density: float, resource: str = "weights"
    ) -> None:
        check_density(density)
        check_resource(resource)
        prunable_layers(model)
        layers = masked_layers(model)
        costs = kernel_costs(model, resource).values()
        self._layers = list(layers.values())
        self._shares = [cost / sum(costs) for cost in costs]
        self.target = sum(
            share * float(layer.expected_density(float(density)))
            for share, layer in zip(self._shares, self._layers, strict=True)
        )

    def current(self) -> tf.Tensor:
        """Returns the fraction that is kept now, a float32 scalar."""
        return tf.add_n(
            [
                share * layer.expected_density()
                for share, layer in zip(self._shares, self._layers, strict=True)
            ]
        )

    def __call__(self) -> tf.Tensor:
        """Returns the loss, a float32 scalar."""
        return tf.maximum(self.current() / self.target - 1.0, 0.0)

    def is_reached(self) -> bool:
        """Returns whether the loss, rounded to four decimals, is 0."""
        return bool(np.round(np.float32(self()), 4) == 0)
