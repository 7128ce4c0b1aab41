"""The masked convolutions are convolutions with a masked kernel."""

import keras
import pytest

from hydra_tf import layers
from tests.layers import equality


@pytest.mark.parametrize(
    ("arguments", "input_shape"),
    [
        ({"filters": 4, "kernel_size": 3}, (2, 9, 3)),
        ({"filters": 4, "kernel_size": 3, "padding": "same"}, (2, 9, 3)),
        ({"filters": 4, "kernel_size": 3, "padding": "causal"}, (2, 9, 3)),
        (
            {
                "filters": 4,
                "kernel_size": 3,
                "padding": "causal",
                "dilation_rate": 2,
                "activation": "relu",
            },
            (2, 9, 3),
        ),
        (
            {
                "filters": 4,
                "kernel_size": 2,
                "strides": 2,
                "padding": "causal",
                "use_bias": False,
            },
            (2, 9, 3),
        ),
        ({"filters": 4, "kernel_size": 3, "groups": 2}, (2, 9, 6)),
    ],
)
def test_equals_conv1d_with_pruned_weights(arguments, input_shape):
    equality.check_equals_plain_layer(
        layers.MaskedConv1D, arguments, input_shape
    )


@pytest.mark.parametrize(
    ("arguments", "input_shape"),
    [
        ({"filters": 4, "kernel_size": 3}, (2, 8, 7, 3)),
        (
            {
                "filters": 4,
                "kernel_size": (3, 2),
                "strides": 2,
                "padding": "same",
                "activation": "relu",
            },
            (2, 8, 7, 3),
        ),
        (
            {"filters": 4, "kernel_size": 3, "strides": (1, 2)},
            (2, 8, 9, 3),
        ),
        (
            {
                "filters": 4,
                "kernel_size": 3,
                "dilation_rate": 2,
                "use_bias": False,
            },
            (2, 8, 7, 3),
        ),
        ({"filters": 6, "kernel_size": 3, "groups": 3}, (2, 8, 7, 6)),
        ({"filters": 5, "kernel_size": 1}, (1, 4, 4, 8)),
    ],
)
def test_equals_conv2d_with_pruned_weights(arguments, input_shape):
    equality.check_equals_plain_layer(
        layers.MaskedConv2D, arguments, input_shape
    )


@pytest.mark.parametrize(
    ("masked_class", "input_shape"),
    [(layers.MaskedConv1D, (2, 9, 4)), (layers.MaskedConv2D, (2, 9, 9, 4))],
)
def test_every_argument_round_trips(masked_class, input_shape, tmp_path):
    layer = masked_class(
        6,
        3,
        strides=1,
        padding="same",
        data_format="channels_last",
        dilation_rate=2,
        groups=2,
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
        scores_initializer="he_uniform",
        phase="finetune",
        name="features",
    )
    equality.check_config_round_trip(layer, input_shape, tmp_path)


@pytest.mark.parametrize("groups", [1, 2])
def test_fan_in_is_what_one_output_reads(groups):
    layer = layers.MaskedConv2D(4, (3, 2), groups=groups)
    layer.build((None, 8, 8, 6))
    assert layer.fan_in == 3 * 2 * 6 // groups
