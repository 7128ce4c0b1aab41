"""Gradual magnitude pruning.

Reference:

- [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878), section 3
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.courses.base import Course
from hydra_tf.pruning.courses.base import magnitudes


class Gradual(Course):
    """The least magnitudes go, a few at a time; what is pruned stays pruned.

    Reference:

    - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878), section 3
    """

    def importances(self, group: ChannelGroup) -> tf.Tensor:
        # Kept weights that are 0 stay ahead of pruned ones.
        values = tf.maximum(magnitudes(group), np.finfo(np.float32).tiny)
        return values * group.leader.scoring.constant_mask()

    def allocate(self, density: float) -> dict[str, float]:
        rule: Any = self.pruning.allocation
        return allocate(self.network, density, rule, nested=True)
