"""FlyingBird and FlyingBird+: sparse from the first step, on moving masks.

Reference:

- [Chen et al., 2022](https://arxiv.org/abs/2202.09844), section 3
- [Evci et al., 2020](https://arxiv.org/abs/1911.11134), RigL, the rule of
  dropping and regrowing
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.courses.base import Course
from hydra_tf.pruning.courses.regrowth import drop_share_at
from hydra_tf.pruning.courses.regrowth import num_dropped
from hydra_tf.pruning.courses.regrowth import regrowth_scores

# Epoch to epoch, how many changes of a figure FlyingBird+ looks at.
_CHANGES = 4
# What it drops besides, and regrows besides, as shares of what is dropped.
_DROPPED_MORE = 0.4
_REGROWN_MORE = 0.05


class FlyingBird(Course):
    """Drops the smallest weights of each layer, regrows others by gradient.

    The masks begin at the target density, those of the largest magnitudes. An
    update drops `drop_share` of what each layer keeps, by a cosine less and
    less, and regrows as many where the dense gradient is largest. What comes
    back from an earlier update starts at 0. With granularity N:M, blocks regrow
    within themselves.

    Reference:

    - [Chen et al., 2022](https://arxiv.org/abs/2202.09844), section 3
    """

    dense_gradients = True
    watches_gradients = True

    def update(self, step: int) -> None:
        progress = step / self.update_steps[-1]
        share = drop_share_at(progress, self.pruning.drop_share)
        for group in self.groups:
            if not group.leader.kernel.trainable:
                continue  # It has no gradient to regrow by.
            count = group.leader.scoring.num_kept
            dropped = num_dropped(count, share)
            self._regrow(group, dropped, count)
        self.masks_changed()

    def _regrow(self, group: ChannelGroup, dropped: int, count: int) -> None:
        """Drops some of a layer's weights; regrows until so many are kept."""
        layer, scoring = group.leader, group.leader.scoring
        before = keras.ops.convert_to_numpy(scoring.kept)
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        gradients = self.gradients[group.names[0]]
        scores = regrowth_scores(
            kernel, keras.ops.convert_to_numpy(gradients), before, dropped
        )
        scoring.values.assign_quietly(scores)
        if count != scoring.num_kept:
            scoring.density.assign_quietly(count / scoring.size)
        scoring.refresh()
        came = keras.ops.convert_to_numpy(scoring.kept) & ~before
        self.start_at_zero(layer, came)


class FlyingBirdPlus(FlyingBird):
    """FlyingBird whose density follows what it does to robustness.

    In the second half of the phase, an update looks at the changes over the
    last four epochs. If the gap between the robust accuracy on the training
    and on the validation images grew in half of them, it drops 0.4 more of what
    it drops; if the validation loss did not fall in half of them, it regrows
    0.05 more. No layer exceeds the target, so that the network ends at the
    target density or below. Without validation images there is no gap to see:
    the density stays, and it is FlyingBird.

    Reference:

    - [Chen et al., 2022](https://arxiv.org/abs/2202.09844), section 3
    """

    def begin(self) -> None:
        super().begin()
        # By row: the gap and the loss of the last epochs, the latest at the
        # end.
        self._figures = keras.Variable(
            np.zeros((2, _CHANGES + 1)), trainable=False, dtype="float32"
        )
        self._seen = keras.Variable(0, trainable=False, dtype="int32")
        self._limits = [group.leader.scoring.num_kept for group in self.groups]

    @property
    def variables(self) -> list[keras.Variable]:
        return [*super().variables, self._figures, self._seen]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        logs = logs or {}
        gap = 0.0
        for name in ("certified_accuracy", "robust_accuracy"):
            if name in logs and f"val_{name}" in logs:
                gap = float(logs[name]) - float(logs[f"val_{name}"])
                break
        loss = float(logs.get("val_loss", logs.get("loss", 0.0)))
        before = keras.ops.convert_to_numpy(self._figures)
        self._figures.assign(np.column_stack([before[:, 1:], [gap, loss]]))
        self._seen.assign_add(1)

    def update(self, step: int) -> None:
        self._drops_more, self._regrows_more = self._wants(step)
        super().update(step)

    def _wants(self, step: int) -> tuple[bool, bool]:
        """Whether to drop more, and to regrow more, than the same number."""
        changes = min(int(self._seen.numpy()) - 1, _CHANGES)
        if 2 * step <= self.total_steps or changes < 1:
            return False, False
        figures = keras.ops.convert_to_numpy(self._figures)[:, -changes - 1 :]
        gap, loss = np.diff(figures)
        return bool(np.mean(gap > 0) >= 0.5), bool(np.mean(loss >= 0) >= 0.5)

    def _regrow(self, group: ChannelGroup, dropped: int, count: int) -> None:
        fewer = int(_DROPPED_MORE * dropped) if self._drops_more else 0
        fewer = min(fewer, count - 1 - dropped)
        more = int(_REGROWN_MORE * dropped) if self._regrows_more else 0
        limit = self._limits[self.groups.index(group)]
        super()._regrow(
            group, dropped + fewer, min(count - fewer + more, limit)
        )
