"""Removing the channels that do nothing from a network."""

from hydra_tf.pruning.shrinking.costs import ModelCosts
from hydra_tf.pruning.shrinking.costs import ShrinkReport
from hydra_tf.pruning.shrinking.costs import shrink_report
from hydra_tf.pruning.shrinking.shrink import shrink

__all__ = ["ModelCosts", "ShrinkReport", "shrink", "shrink_report"]
