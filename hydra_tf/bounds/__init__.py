"""Bounds on a network's outputs over boxes of inputs, and what they certify."""

from hydra_tf.bounds import rules
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.crown import crown
from hydra_tf.bounds.crown import crown_ibp
from hydra_tf.bounds.curves import Activation
from hydra_tf.bounds.ibp import interval
from hydra_tf.bounds.margins import METHODS
from hydra_tf.bounds.margins import certified
from hydra_tf.bounds.margins import check_supported
from hydra_tf.bounds.margins import input_box
from hydra_tf.bounds.margins import margin_spec
from hydra_tf.bounds.margins import margins
from hydra_tf.bounds.max_pooling import MaxPooling
from hydra_tf.bounds.nonlinear import Enclosure
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.normalize import Normalize
from hydra_tf.bounds.operations import Applied
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.precision import full_precision
from hydra_tf.bounds.products import MatMul
from hydra_tf.bounds.products import Product
from hydra_tf.bounds.products import WeightedMean
from hydra_tf.bounds.propagation import BoundPropagation
from hydra_tf.bounds.rules import register_rule
from hydra_tf.bounds.softmax import Softmax
from hydra_tf.bounds.symbolic import symbolic_interval
from hydra_tf.bounds.trace import network_of

__all__ = [
    "METHODS",
    "Activation",
    "Applied",
    "BoundPropagation",
    "Concatenation",
    "Enclosure",
    "Interval",
    "LeakyReLU",
    "Linear",
    "MatMul",
    "MaxPooling",
    "Monotone",
    "Nonlinear",
    "Normalize",
    "Product",
    "Scale",
    "Softmax",
    "WeightedMean",
    "WeightedSum",
    "certified",
    "check_supported",
    "crown",
    "crown_ibp",
    "full_precision",
    "input_box",
    "interval",
    "margin_spec",
    "margins",
    "network_of",
    "register_rule",
    "rules",
    "symbolic_interval",
]
