"""Multi-step pruning: the density falls while the kernels train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.allocation import check_allocation
from hydra_tf.pruning.density import set_density
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.pruning.nesting import kept_now
from hydra_tf.pruning.nesting import rank_below
from hydra_tf.pruning.scores import check_method
from hydra_tf.pruning.scores import init_scores


class MultiStepPruning(keras.callbacks.Callback):
    """Prunes a little more at the start of some epochs of a `fit`.

    Each round lowers the density to what the schedule says, chooses what
    stays, and lets the kernels train on under the new masks (finetune phase)
    until the next round. By default the least magnitudes go, as in the
    earlier system; any other method can choose as well.

    With a method that has a name, what is pruned stays pruned: rounds choose
    among what is left (unless a schedule lets the density rise again). A
    callable may bring weights back, with the values that they had.

    Args:
        masked_model: Model with masked layers, in the finetune phase. (The
            model being fitted may be a wrapper around it.)
        schedule: A `tfmot.sparsity.keras.PruningSchedule`, called with the
            epoch; it says when to prune and to what *sparsity*. For example
            `PolynomialDecay(0.0, 0.95, begin_step=0, end_step=20,
            frequency=5)` prunes in epochs 0, 5, 10, 15 and 20. Or any
            callable `epoch -> (should_prune, sparsity)`. The density
            `1 - sparsity` is what `allocation` splits: of channels, where
            masks remove channels.
        scores: How a round chooses: the name of a method of
            `hydra_tf.init_scores`, such as `"magnitude"`, `"random"` or
            `"snip"`; or a callable `(model, density) -> None` that is called
            once the densities are allocated and sets scores, densities or
            both, as `hydra_tf.training.TrainedScores` does.
        allocation: How the density is split over the layers: one of
            `hydra_tf.allocation.NAMES`.
        data: For `"snip"`: a batch `(images, labels)`.
        seed: Integer >= 0 that makes random methods reproducible; each round
            draws anew.
        on_prune: Called with no argument after each round, for instance to
            tell an optimiser about the new masks
            (`RobustModel.freeze_pruned_weights`).

    Example:
        ```python
        network = ht.to_masked(pretrained)
        ht.set_phase(network, "finetune")
        robust = ht.RobustModel(network, ht.objectives.TRADES())
        robust.compile(optimizer=ht.training.SGD(0.01, momentum=0.9))
        pruning = ht.MultiStepPruning(
            network,
            tfmot.sparsity.keras.PolynomialDecay(
                0.0, 0.95, begin_step=0, end_step=20, frequency=5
            ),
            on_prune=robust.freeze_pruned_weights,
        )
        robust.fit(images, labels, epochs=40, callbacks=[pruning])
        ```

    Reference:

    - [Sehwag et al., 2019](https://arxiv.org/abs/1906.06110), section 3
    """

    def __init__(
        self,
        masked_model: keras.Model,
        schedule: Callable[[int], Any],
        *,
        scores: str | Callable[[keras.Model, float], None] = "magnitude",
        allocation: str = "uniform",
        data: tuple[Any, Any] | None = None,
        seed: int | None = None,
        on_prune: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        if not callable(schedule):
            raise InputError(
                "`schedule` must be a tfmot PruningSchedule or a callable "
                f"epoch -> (should_prune, sparsity). Received: {schedule!r}"
            )
        if not callable(scores):
            check_method(scores, "scores", data)
        check_allocation(allocation)
        self.masked_model = masked_model
        self.schedule = schedule
        self.scores = scores
        self.allocation = allocation
        self.data = data
        self.seed = seed
        self.on_prune = on_prune
        self._last_density: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        should_prune, sparsity = self.schedule(epoch)
        if not bool(should_prune):
            return
        # Rounded where tfmot's float32 arithmetic would add a weight.
        density = round(1.0 - float(sparsity), 7)
        if callable(self.scores):
            set_density(
                self.masked_model,
                allocate(self.masked_model, density, self.allocation),
            )
            self.scores(self.masked_model, density)
        else:
            self._prune_by_name(self.scores, density, epoch)
        self._last_density = density
        if self.on_prune is not None:
            self.on_prune()

    def _prune_by_name(self, method: str, density: float, epoch: int) -> None:
        model = self.masked_model
        nested = not self._rises(density)
        kept = kept_now(model)
        init_scores(
            model, method, seed=_seed_of(self.seed, epoch), data=self.data
        )
        # At the old density the masks are those of the round before again,
        # which is what a nested allocation looks at.
        rank_below(model, kept)
        set_density(
            model, allocate(model, density, self.allocation, nested=nested)
        )

    def _rises(self, density: float) -> bool:
        """Whether the schedule lets pruned weights come back."""
        if self._last_density is not None:
            return density > self._last_density
        # The first round of a run that may have been interrupted.
        layers = prunable_layers(self.masked_model).values()
        return density > max(float(layer.live_density) for layer in layers)


def _seed_of(seed: int | None, epoch: int) -> int | None:
    """A seed for each epoch, so that a run that goes on draws the same."""
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
