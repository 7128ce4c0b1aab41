"""MaskedConv2DTranspose is Conv2DTranspose with a masked kernel."""

import keras
import pytest

from hydra_tf import layers
from tests.layers import equality


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": 4, "kernel_size": 3},
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"},
        {
            "filters": 4,
            "kernel_size": 3,
            "strides": 2,
            "padding": "same",
            "output_padding": 1,
            "activation": "relu",
        },
        {"filters": 2, "kernel_size": (2, 3), "strides": (2, 3)},
        {"filters": 4, "kernel_size": 2, "use_bias": False},
        {"filters": 2, "kernel_size": 3, "dilation_rate": 2},
    ],
)
def test_equals_conv2d_transpose_with_pruned_weights(arguments):
    equality.check_equals_plain_layer(
        layers.MaskedConv2DTranspose, arguments, (2, 5, 4, 3)
    )


def test_every_argument_round_trips(tmp_path):
    layer = layers.MaskedConv2DTranspose(
        5,
        3,
        strides=2,
        padding="same",
        output_padding=1,
        data_format="channels_last",
        dilation_rate=1,
        activation="relu",
        use_bias=False,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.01),
        bias_regularizer=keras.regularizers.L1(0.02),
        activity_regularizer=keras.regularizers.L2(0.03),
        kernel_constraint=keras.constraints.MaxNorm(3.0),
        bias_constraint=keras.constraints.NonNeg(),
        density=0.2,
        scores_initializer="scaled",
        phase="pretrain",
    )
    equality.check_config_round_trip(layer, (2, 5, 5, 4), tmp_path)


def test_fan_in_counts_the_input_channels():
    layer = layers.MaskedConv2DTranspose(5, (3, 2))
    layer.build((None, 8, 8, 7))
    assert layer.fan_in == 3 * 2 * 7
