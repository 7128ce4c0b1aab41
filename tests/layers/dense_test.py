"""MaskedDense is Dense with a masked kernel."""

import keras
import numpy as np
import pytest

from hydra_tf import layers
from tests.layers import equality


@pytest.mark.parametrize(
    ("arguments", "input_shape"),
    [
        ({"units": 5}, (3, 7)),
        ({"units": 5, "use_bias": False}, (3, 7)),
        ({"units": 4, "activation": "relu"}, (2, 6, 7)),
        ({"units": 1, "activation": "softplus"}, (2, 3, 4, 5)),
    ],
)
def test_equals_dense_with_pruned_weights(arguments, input_shape):
    equality.check_equals_plain_layer(
        layers.MaskedDense, arguments, input_shape
    )


def test_every_argument_round_trips(tmp_path):
    layer = layers.MaskedDense(
        3,
        activation="tanh",
        use_bias=True,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.01),
        bias_regularizer=keras.regularizers.L1(0.02),
        activity_regularizer=keras.regularizers.L2(0.03),
        kernel_constraint=keras.constraints.MaxNorm(3.0),
        bias_constraint=keras.constraints.NonNeg(),
        density=0.35,
        scores_initializer=keras.initializers.RandomNormal(seed=5),
        phase="prune",
        name="head",
    )
    equality.check_config_round_trip(layer, (2, 4), tmp_path)
    assert layer.name == "head"
    assert layer.get_config()["density"] == 0.35


def test_fan_in_is_the_input_size():
    layer = layers.MaskedDense(3)
    layer.build((None, 6))
    assert layer.fan_in == 6


def test_computes_the_formula_by_hand():
    layer = layers.MaskedDense(2, density=0.5, activation="relu")
    layer.build((None, 2))
    layer.kernel.assign([[1.0, 2.0], [3.0, 4.0]])
    layer.bias.assign([0.5, -20.0])
    layer.scores.assign([[-9.0, 1.0], [2.0, 3.0]])
    # The mask keeps 1 (score -9) and 4 (score 3).
    np.testing.assert_array_equal(layer.mask, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(layer(np.array([[10.0, 3.0]])), [[10.5, 0]])
