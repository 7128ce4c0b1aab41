"""Robust early birds: the ticket is drawn once its mask stands still.

Reference:

- [Chen et al., 2022](https://arxiv.org/abs/2202.09844), section 3
- [You et al., 2020](https://arxiv.org/abs/1909.11957), the distance of masks
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.ops.masks import topk_mask
from hydra_tf.pruning.courses.base import Course
from hydra_tf.pruning.settings import PruningSettings

# How many earlier masks a mask is compared with.
_MASKS = 4


def mask_distance(
    masks: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> float:
    """Returns the fraction of entries in which masks differ.

    Args:
        masks: Arrays of zeros and ones, one a layer.
        others: Arrays of their shapes.

    Example:

    >>> mask_distance([np.ones(3), np.zeros(1)], [np.ones(3), np.ones(1)])
    0.25
    """
    differing = sum(
        np.count_nonzero(np.asarray(one) != other)
        for one, other in zip(masks, others, strict=True)
    )
    return float(differing / sum(np.size(one) for one in masks))


class RobustBird(Course):
    """Trains the dense network until its ticket is found, then the ticket.

    Each update takes the mask of largest magnitudes at the target density. Once
    it differs in less than `ticket_distance` of its entries from each of the
    four before, the network is pruned to it, at once, and trains on. If that
    never happens, the last update prunes.

    The history has `mask_distance`, the largest of those distances, and from
    then on `ticket_epoch`.

    Reference:

    - [Chen et al., 2022](https://arxiv.org/abs/2202.09844), section 3
    """

    @classmethod
    def check(cls, network: keras.Model, pruning: PruningSettings) -> None:
        updates = pruning.mask_updates
        if updates is not None and updates <= _MASKS:
            raise InputError(
                f"`mask_updates={updates}`: robust_bird compares a mask with "
                f"{_MASKS} before it; pass at least {_MASKS + 1}"
            )

    def begin(self) -> None:
        # That of the ticket, from 1; 0 before.
        self._epoch = keras.Variable(0, trainable=False, dtype="int32")
        self._seen = keras.Variable(0, trainable=False, dtype="int32")
        self._distance = keras.Variable(1.0, trainable=False, dtype="float32")
        self._earlier = [
            keras.Variable(
                np.zeros((_MASKS, *group.leader.scores.shape)),
                trainable=False,
                dtype="uint8",
            )
            for group in self.groups
        ]
        super().begin()

    @property
    def variables(self) -> list[keras.Variable]:
        return [
            *super().variables,
            self._epoch,
            self._seen,
            self._distance,
            *self._earlier,
        ]

    @property
    def at_target(self) -> bool:
        return bool(self._epoch.numpy())

    def density_at(self, step: int) -> float:
        return self.pruning.density if self.at_target else 1.0

    def update(self, step: int) -> None:
        if self.at_target:
            return
        self._look()
        settled = float(self._distance.numpy()) < self.pruning.ticket_distance
        if settled or step >= self.update_steps[-1]:
            self._epoch.assign((step - 1) // self.steps_per_epoch + 1)
            self.renew(self.density_at(step))

    def figures(self) -> dict[str, float]:
        found = {"ticket_epoch": float(self._epoch.numpy())}
        return {
            **super().figures(),
            "mask_distance": float(self._distance.numpy()),
            **(found if self.at_target else {}),
        }

    def _look(self) -> None:
        """Takes the mask of now, and its distance from those before."""
        densities = self.densities(self.pruning.density)
        masks = [
            topk_mask(
                self.importances(group), densities[group.names[0]]
            ).numpy()
            for group in self.groups
        ]
        earlier = [keras.ops.convert_to_numpy(each) for each in self._earlier]
        if int(self._seen.numpy()) >= _MASKS:
            self._distance.assign(
                max(
                    mask_distance(masks, [each[i] for each in earlier])
                    for i in range(_MASKS)
                )
            )
        for variable, before, mask in zip(
            self._earlier, earlier, masks, strict=True
        ):
            variable.assign(np.concatenate([before[1:], mask[None]]))
        self._seen.assign_add(1)
