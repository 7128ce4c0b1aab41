"""Keras layers whose weights are masked by trainable scores."""

from hydra_tf.layers.batch_normalization import FusedBatchNormalization
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.conv import MaskedConv1D
from hydra_tf.layers.conv import MaskedConv2D
from hydra_tf.layers.conv import MaskedConv3D
from hydra_tf.layers.dense import MaskedDense
from hydra_tf.layers.depthwise import MaskedDepthwiseConv1D
from hydra_tf.layers.depthwise import MaskedDepthwiseConv2D
from hydra_tf.layers.depthwise import MaskedSeparableConv1D
from hydra_tf.layers.depthwise import MaskedSeparableConv2D
from hydra_tf.layers.einsum_dense import MaskedEinsumDense
from hydra_tf.layers.embedding import MaskedEmbedding
from hydra_tf.layers.embedding import MaskedReversibleEmbedding
from hydra_tf.layers.maskable import register_maskable
from hydra_tf.layers.masked_layer import MaskedLayer
from hydra_tf.layers.quantization import fake_quantized
from hydra_tf.layers.recurrent import MaskedGRUCell
from hydra_tf.layers.recurrent import MaskedLSTMCell
from hydra_tf.layers.recurrent import MaskedSimpleRNNCell
from hydra_tf.layers.reuse import reuse_effective_kernels
from hydra_tf.layers.transpose import MaskedConv1DTranspose
from hydra_tf.layers.transpose import MaskedConv2DTranspose
from hydra_tf.layers.transpose import MaskedConv3DTranspose
from hydra_tf.phases import PHASES

__all__ = [
    "PHASES",
    "Channels",
    "FusedBatchNormalization",
    "MaskedConv1D",
    "MaskedConv1DTranspose",
    "MaskedConv2D",
    "MaskedConv2DTranspose",
    "MaskedConv3D",
    "MaskedConv3DTranspose",
    "MaskedDense",
    "MaskedDepthwiseConv1D",
    "MaskedDepthwiseConv2D",
    "MaskedEinsumDense",
    "MaskedEmbedding",
    "MaskedGRUCell",
    "MaskedLSTMCell",
    "MaskedLayer",
    "MaskedReversibleEmbedding",
    "MaskedSeparableConv1D",
    "MaskedSeparableConv2D",
    "MaskedSimpleRNNCell",
    "fake_quantized",
    "register_maskable",
    "reuse_effective_kernels",
]
