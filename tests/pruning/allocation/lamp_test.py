"""The LAMP allocation is that of the paper."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning import allocation
from tests import golden
from tests.pruning.networks import dense_chain
from tests.pruning.networks import kept_counts
from tests.pruning.networks import sizes

STRATEGIES = golden.load("strategies")


def golden_lamp_model():
    """Four layers with the kernels of the golden file, side by side."""
    kernels = [STRATEGIES[f"lamp_small_kernel{index}"] for index in range(4)]
    inputs, outputs = [], []
    for index, kernel in enumerate(kernels):
        arguments = {"use_bias": False, "name": f"layer{index}"}
        if kernel.ndim == 4:
            image = keras.Input((5, 5, kernel.shape[2]))
            layer = keras.layers.Conv2D(
                kernel.shape[3], kernel.shape[:2], **arguments
            )
        else:
            image = keras.Input(kernel.shape[:1])
            layer = keras.layers.Dense(kernel.shape[1], **arguments)
        inputs.append(image)
        outputs.append(layer(image))
        layer.kernel.assign(kernel)
    return ht.to_masked(keras.Model(inputs, outputs))


class TestLamp:
    @pytest.mark.parametrize("index", range(4))
    def test_scores_equal_the_published_formula(self, index):
        np.testing.assert_allclose(
            allocation.lamp_scores(STRATEGIES[f"lamp_small_kernel{index}"]),
            STRATEGIES[f"lamp_small_scores{index}"],
            rtol=1e-10,
        )

    @pytest.mark.parametrize("index", range(3))
    def test_counts_equal_the_published_formula(self, index):
        model = golden_lamp_model()
        total = sum(sizes(model).values())
        # The golden counts round to nearest, where these round up.
        number = round(float(STRATEGIES["lamp_small_densities"][index]) * total)
        counts = kept_counts(model, allocation.lamp(model, number / total))
        assert sum(counts.values()) == number
        np.testing.assert_array_equal(
            [counts[f"layer{index}"] for index in range(4)],
            STRATEGIES["lamp_small_kept"][index],
        )

    def test_scores_by_hand(self):
        # 3 first: 9 / 9; then 2 of 9 + 4; then the first 1 of 14, the other
        # of 15; and nothing.
        np.testing.assert_allclose(
            allocation.lamp_scores([[1.0, -1.0, 3.0], [0.0, -2.0, 0.0]]),
            [[1 / 14, 1 / 15, 1.0], [0.0, 4 / 13, 0.0]],
        )

    def test_a_layer_of_zeros_scores_nothing(self):
        assert not allocation.lamp_scores(np.zeros((2, 3))).any()

    def test_does_not_depend_on_the_scale_of_layers(self):
        one = dense_chain([9, 8, 7])
        other = dense_chain([9, 8, 7], scales=[1e-6, 1e6])
        assert allocation.lamp(one, 0.3) == allocation.lamp(other, 0.3)

    def test_many_weights_of_the_densest_layer(self):
        # Equal weights: scores 1, 1/2, 1/3, ... in both layers; of the 12
        # largest of 4 + 16, the small layer has all of its 4.
        model = dense_chain([4, 1, 16])
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.ones(layer.kernel.shape))
        assert kept_counts(model, allocation.lamp(model, 12 / 20)) == {
            "layer0": 4,
            "layer1": 8,
        }
