"""Gradual pruning that keeps every weight at work.

At a density of a hundredth, many of the weights that magnitudes keep do
nothing: no path leads to them from the image, or from them to the logits.
Training cannot bring them back. They are exchanged for weights that the loss
asks for.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.graph import is_graph
from hydra_tf.graph import walk
from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.courses.base import Course
from hydra_tf.pruning.courses.base import magnitudes
from hydra_tf.pruning.courses.paths import weights_on_paths
from hydra_tf.pruning.settings import PruningSettings


class LivePaths(Course):
    """The least magnitudes go as the density falls; idle weights are replaced.

    An update keeps the largest of those weights that lie on a path from the
    inputs to the outputs (see `weights_on_paths`). Where a layer has fewer of
    them than its density allows, pruned ones come back in the order of their
    dense gradients, and start at 0. A frozen layer, whose gradients nobody
    takes, keeps its largest weights.
    """

    dense_gradients = True
    watches_gradients = True

    @classmethod
    def check(cls, network: keras.Model, pruning: PruningSettings) -> None:
        if is_graph(network):
            return
        try:
            walk(network)
        except InputError as error:
            raise InputError(
                f"method '{pruning.method}' follows paths through the graph of "
                f"a model: {error}"
            ) from error

    def begin(self) -> None:
        self._flow = channel_flow(self.network)
        # By layer, which of the weights that are kept may stay.
        self._on_paths = {
            group.names[0]: tf.Variable(
                tf.ones(group.leader.kernel.shape, tf.bool), trainable=False
            )
            for group in self.groups
        }
        super().begin()

    def importances(self, group: ChannelGroup) -> tf.Tensor:
        if not group.leader.kernel.trainable:
            return magnitudes(group)
        name = group.names[0]
        slopes = tf.abs(self.gradients[name].value)
        slopes = tf.math.divide_no_nan(slopes, tf.reduce_max(slopes))
        values = magnitudes(group)
        values = tf.math.divide_no_nan(values, tf.reduce_max(values))
        return tf.where(self._on_paths[name], 1.0 + values, 0.5 * slopes)

    def allocate(self, density: float) -> dict[str, float]:
        # Pruned weights come back at 0: what they were when they went is no
        # rival to what others are now.
        rule: Any = self.pruning.allocation
        return allocate(self.network, density, rule, nested=True)

    def renew(self, density: float) -> None:
        before = {id(group.leader): _kept(group) for group in self.groups}
        on_paths = weights_on_paths(self._flow, before)
        for group in self.groups:
            kept = on_paths.get(id(group.leader), before[id(group.leader)])
            self._on_paths[group.names[0]].assign(kept)
        super().renew(density)
        for group in self.groups:
            came = _kept(group) & ~before[id(group.leader)]
            self.start_at_zero(group.leader, came)


def _kept(group: ChannelGroup) -> np.ndarray:
    return keras.ops.convert_to_numpy(group.leader.scoring.kept)
