"""How a global density is split over the layers."""

from hydra_tf.pruning.allocation.erk import erk
from hydra_tf.pruning.allocation.erk import erk_densities
from hydra_tf.pruning.allocation.global_threshold import global_threshold
from hydra_tf.pruning.allocation.lamp import lamp
from hydra_tf.pruning.allocation.lamp import lamp_scores
from hydra_tf.pruning.allocation.rules import NAMES
from hydra_tf.pruning.allocation.rules import allocate
from hydra_tf.pruning.allocation.rules import check_allocation
from hydra_tf.pruning.allocation.rules import check_complete
from hydra_tf.pruning.allocation.uniform import uniform

__all__ = [
    "NAMES",
    "allocate",
    "check_allocation",
    "check_complete",
    "erk",
    "erk_densities",
    "global_threshold",
    "lamp",
    "lamp_scores",
    "uniform",
]
