"""How a global density is split over the layers."""

from hydra_tf.pruning.allocation.erk import erk as erk
from hydra_tf.pruning.allocation.erk import erk_densities as erk_densities
from hydra_tf.pruning.allocation.global_threshold import (
    global_threshold as global_threshold,
)
from hydra_tf.pruning.allocation.lamp import lamp as lamp
from hydra_tf.pruning.allocation.lamp import lamp_scores as lamp_scores
from hydra_tf.pruning.allocation.rules import NAMES as NAMES
from hydra_tf.pruning.allocation.rules import allocate as allocate
from hydra_tf.pruning.allocation.rules import (
    check_allocation as check_allocation,
)
from hydra_tf.pruning.allocation.rules import check_complete as check_complete
from hydra_tf.pruning.allocation.uniform import uniform as uniform
