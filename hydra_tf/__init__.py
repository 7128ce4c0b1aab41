"""Prune adversarially robust neural networks in TensorFlow and Keras 3.

What files of models and training need is loaded at once, the parts below when
they are used first.
"""

from typing import TYPE_CHECKING

from hydra_tf import attacks
from hydra_tf import data
from hydra_tf import later
from hydra_tf import layers
from hydra_tf import models
from hydra_tf import objectives
from hydra_tf import ops
from hydra_tf import pruning
from hydra_tf import schedules
from hydra_tf import training
from hydra_tf.errors import InputError
from hydra_tf.layers import register_maskable
from hydra_tf.ops import kept_count
from hydra_tf.ops import n_of_m_mask
from hydra_tf.ops import topk_mask
from hydra_tf.pruning import CompressionLoss
from hydra_tf.pruning import LayerSparsity
from hydra_tf.pruning import MultiStepPruning
from hydra_tf.pruning import Pruning
from hydra_tf.pruning import ShrinkReport
from hydra_tf.pruning import SparsityReport
from hydra_tf.pruning import allocation
from hydra_tf.pruning import connect_channels
from hydra_tf.pruning import init_scores
from hydra_tf.pruning import learn_densities
from hydra_tf.pruning import masked_layers
from hydra_tf.pruning import register_masked_twin
from hydra_tf.pruning import set_density
from hydra_tf.pruning import set_phase
from hydra_tf.pruning import set_plain_weights
from hydra_tf.pruning import settle_densities
from hydra_tf.pruning import shrink
from hydra_tf.pruning import shrink_report
from hydra_tf.pruning import sparsity_report
from hydra_tf.pruning import start_pruning
from hydra_tf.pruning import strip_masks
from hydra_tf.pruning import to_masked
from hydra_tf.training import RobustModel
from hydra_tf.training import prune

if TYPE_CHECKING:
    from hydra_tf import bounds
    from hydra_tf import evaluation
    from hydra_tf import export
    from hydra_tf import smoothing
    from hydra_tf import torch_checkpoints
    from hydra_tf.export import export_saved_model
    from hydra_tf.torch_checkpoints import load_torch_checkpoint

__version__ = "0.1.0"

__all__ = [
    "CompressionLoss",
    "InputError",
    "LayerSparsity",
    "MultiStepPruning",
    "Pruning",
    "RobustModel",
    "ShrinkReport",
    "SparsityReport",
    "allocation",
    "attacks",
    "bounds",
    "connect_channels",
    "data",
    "evaluation",
    "export",
    "export_saved_model",
    "init_scores",
    "kept_count",
    "layers",
    "learn_densities",
    "load_torch_checkpoint",
    "masked_layers",
    "models",
    "n_of_m_mask",
    "objectives",
    "ops",
    "prune",
    "pruning",
    "register_maskable",
    "register_masked_twin",
    "schedules",
    "set_density",
    "set_phase",
    "set_plain_weights",
    "shrink",
    "shrink_report",
    "settle_densities",
    "smoothing",
    "sparsity_report",
    "start_pruning",
    "strip_masks",
    "to_masked",
    "topk_mask",
    "torch_checkpoints",
    "training",
]

__getattr__ = later.importer(
    __name__,
    "bounds",
    "evaluation",
    "export",
    "export:export_saved_model",
    "smoothing",
    "torch_checkpoints",
    "torch_checkpoints:load_torch_checkpoint",
)
__dir__ = later.listing(__name__, __all__)
