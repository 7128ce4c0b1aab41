"""From a plain model to a masked one, through the phases, and back."""

from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.convert import register_masked_twin
from hydra_tf.pruning.convert import strip_masks
from hydra_tf.pruning.convert import to_masked
from hydra_tf.pruning.density import set_density
from hydra_tf.pruning.harp import CompressionLoss
from hydra_tf.pruning.harp import learn_densities
from hydra_tf.pruning.harp import settle_densities
from hydra_tf.pruning.method import Pruning
from hydra_tf.pruning.method import start_pruning
from hydra_tf.pruning.multistep import MultiStepPruning
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.phases import set_phase
from hydra_tf.pruning.plain_weights import set_plain_weights
from hydra_tf.pruning.report import LayerSparsity
from hydra_tf.pruning.report import SparsityReport
from hydra_tf.pruning.report import sparsity_report
from hydra_tf.pruning.scores import init_scores
from hydra_tf.pruning.shrinking import ShrinkReport
from hydra_tf.pruning.shrinking import shrink
from hydra_tf.pruning.shrinking import shrink_report

__all__ = [
    "CompressionLoss",
    "LayerSparsity",
    "MultiStepPruning",
    "Pruning",
    "ShrinkReport",
    "SparsityReport",
    "connect_channels",
    "init_scores",
    "learn_densities",
    "masked_layers",
    "register_masked_twin",
    "set_density",
    "set_phase",
    "set_plain_weights",
    "shrink",
    "shrink_report",
    "settle_densities",
    "sparsity_report",
    "start_pruning",
    "strip_masks",
    "to_masked",
]
