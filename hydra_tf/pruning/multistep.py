"""Multi-step pruning: the density falls while the kernels train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.density import set_density
from hydra_tf.pruning.scores import init_scores


class MultiStepPruning(keras.callbacks.Callback):
    """Prunes a little more at the start of some epochs of a `fit`.

    Each round scores the weights anew by their magnitude, lowers the density
    to what the schedule says, and lets the kernels train on under the new
    masks (finetune phase) until the next round: the least-weight-magnitude
    pruning of the earlier system.

    Args:
        masked_model: Model with masked layers, in the finetune phase. (The
            model being fitted may be a wrapper around it.)
        schedule: A `tfmot.sparsity.keras.PruningSchedule`, called with the
            epoch; it says when to prune and to what *sparsity*. For example
            `PolynomialDecay(0.0, 0.95, begin_step=0, end_step=20,
            frequency=5)` prunes in epochs 0, 5, 10, 15 and 20. Or any
            callable `epoch -> (should_prune, sparsity)`.
        allocation: How the density is split over the layers: `"uniform"`,
            `"global"` or `"erk"`.
        on_prune: Called with no argument after each round, for instance to
            tell an optimiser about the new masks.

    Reference:

    - [Sehwag et al., 2019](https://arxiv.org/abs/1906.06110), section 3
    """

    def __init__(
        self,
        masked_model: keras.Model,
        schedule: Callable[[int], Any],
        *,
        allocation: str = "uniform",
        on_prune: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        if not callable(schedule):
            raise InputError(
                "`schedule` must be a tfmot PruningSchedule or a callable "
                f"epoch -> (should_prune, sparsity). Received: {schedule!r}"
            )
        self.masked_model = masked_model
        self.schedule = schedule
        self.allocation = allocation
        self.on_prune = on_prune

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        should_prune, sparsity = self.schedule(epoch)
        if not bool(should_prune):
            return
        # Rounded where tfmot's float32 arithmetic would add a weight.
        density = round(1.0 - float(sparsity), 7)
        init_scores(self.masked_model, "magnitude")
        set_density(
            self.masked_model,
            allocate(self.masked_model, density, self.allocation),
        )
        if self.on_prune is not None:
            self.on_prune()
