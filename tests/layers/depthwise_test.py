"""MaskedDepthwiseConv2D is DepthwiseConv2D with a masked kernel."""

import keras
import pytest

from hydra_tf import layers
from tests.layers import equality


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3},
        {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"},
        {"kernel_size": (2, 2), "strides": 2, "activation": "relu"},
        {"kernel_size": 3, "dilation_rate": 2, "use_bias": False},
    ],
)
def test_equals_depthwise_conv2d_with_pruned_weights(arguments):
    equality.check_equals_plain_layer(
        layers.MaskedDepthwiseConv2D, arguments, (2, 8, 8, 3)
    )


def test_every_argument_round_trips(tmp_path):
    layer = layers.MaskedDepthwiseConv2D(
        3,
        strides=2,
        padding="same",
        depth_multiplier=2,
        data_format="channels_last",
        dilation_rate=1,
        activation="relu",
        use_bias=False,
        depthwise_initializer="he_normal",
        bias_initializer="ones",
        depthwise_regularizer=keras.regularizers.L2(0.01),
        bias_regularizer=keras.regularizers.L1(0.02),
        activity_regularizer=keras.regularizers.L2(0.03),
        depthwise_constraint=keras.constraints.MaxNorm(3.0),
        bias_constraint=keras.constraints.NonNeg(),
        density=0.2,
        scores_initializer="zeros",
        phase="prune",
    )
    equality.check_config_round_trip(layer, (2, 8, 8, 4), tmp_path)


def test_fan_in_is_the_window_of_one_channel():
    layer = layers.MaskedDepthwiseConv2D((3, 2), depth_multiplier=4)
    layer.build((None, 8, 8, 5))
    assert layer.fan_in == 6
