"""Bounds of a network's outputs over boxes of inputs, and what they certify."""

from hydra_tf.bounds import rules
from hydra_tf.bounds.functions import crown
from hydra_tf.bounds.functions import interval
from hydra_tf.bounds.functions import symbolic_interval
from hydra_tf.bounds.margins import METHODS
from hydra_tf.bounds.margins import certified
from hydra_tf.bounds.margins import check_supported
from hydra_tf.bounds.margins import input_box
from hydra_tf.bounds.margins import margin_spec
from hydra_tf.bounds.margins import margins
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.propagation import BoundPropagation
from hydra_tf.bounds.rules import register_rule

__all__ = [
    "METHODS",
    "BoundPropagation",
    "Concatenation",
    "LeakyReLU",
    "Linear",
    "Monotone",
    "Scale",
    "WeightedSum",
    "certified",
    "check_supported",
    "crown",
    "input_box",
    "interval",
    "margin_spec",
    "margins",
    "register_rule",
    "rules",
    "symbolic_interval",
]
