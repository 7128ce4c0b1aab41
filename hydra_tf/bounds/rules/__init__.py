"""What each layer means to the bounds: one rule module per family."""

from hydra_tf.bounds.rules import activations
from hydra_tf.bounds.rules import arithmetic
from hydra_tf.bounds.rules import attention
from hydra_tf.bounds.rules import axes
from hydra_tf.bounds.rules import convolutions
from hydra_tf.bounds.rules import dense
from hydra_tf.bounds.rules import merging
from hydra_tf.bounds.rules import normalization
from hydra_tf.bounds.rules import pooling
from hydra_tf.bounds.rules import shapes
from hydra_tf.bounds.rules.registration import register_rule

__all__ = [
    "activations",
    "arithmetic",
    "attention",
    "axes",
    "convolutions",
    "dense",
    "merging",
    "normalization",
    "pooling",
    "register_rule",
    "shapes",
]
