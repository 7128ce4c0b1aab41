"""Keras layers whose kernels are masked by trainable scores."""

from hydra_tf.layers.channels import Channels
from hydra_tf.layers.conv import MaskedConv1D
from hydra_tf.layers.conv import MaskedConv2D
from hydra_tf.layers.dense import MaskedDense
from hydra_tf.layers.depthwise import MaskedDepthwiseConv2D
from hydra_tf.layers.masked_layer import MaskedLayer
from hydra_tf.layers.reuse import reuse_effective_kernels
from hydra_tf.layers.transpose import MaskedConv2DTranspose
from hydra_tf.phases import PHASES

__all__ = [
    "PHASES",
    "Channels",
    "MaskedConv1D",
    "MaskedConv2D",
    "MaskedConv2DTranspose",
    "MaskedDense",
    "MaskedDepthwiseConv2D",
    "MaskedLayer",
    "reuse_effective_kernels",
]
