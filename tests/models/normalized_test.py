"""Networks that normalise their images themselves."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.25, 0.1)
X = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)


def plain():
    return ht.models.create("vgg2_bn", (8, 8, 3), 4)


def test_images_are_normalised_and_layers_stay_in_sight():
    network = plain()
    normalized = ht.models.normalized(network, MEAN, DEVIATION)
    names = [layer.name for layer in network.layers]
    assert [layer.name for layer in normalized.layers] == [
        names[0], "normalization", *names[1:]
    ]  # fmt: skip
    normalized.set_weights(network.get_weights())
    np.testing.assert_allclose(
        normalized(X), network((X - MEAN) / DEVIATION), atol=1e-5
    )
    masked = ht.start_pruning(normalized, density=0.5)
    assert list(ht.masked_layers(masked)) == list(
        ht.masked_layers(ht.to_masked(network))
    )


def test_lists_of_layers_stay_lists():
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten()]
    network = keras.Sequential([*layers, keras.layers.Dense(2)])
    normalized = ht.models.normalized(network, MEAN, DEVIATION)
    assert isinstance(normalized, keras.Sequential)
    normalized.set_weights(network.get_weights())
    np.testing.assert_allclose(
        normalized(X), network((X - MEAN) / DEVIATION), atol=1e-5
    )


def test_networks_that_hide_their_layers_are_one_line():
    with pytest.raises(InputError, match="Functional or Sequential"):
        ht.models.normalized(keras.layers.Dense(2), MEAN, DEVIATION)
    with pytest.raises(InputError, match="images of one size"):
        ht.models.normalized(
            keras.Sequential([keras.Input((None, None, 3))]), MEAN, DEVIATION
        )


@pytest.mark.parametrize(
    ("mean", "deviation", "words"),
    [
        ((0.5,), DEVIATION, "`mean` must hold a number for each of the 3"),
        (MEAN, (0.2, 0, 0.1), "`deviation` must hold .* above 0"),
        (MEAN, ("a", "b", "c"), "`deviation` must hold"),
    ],
)
def test_other_numbers_are_one_line(mean, deviation, words):
    with pytest.raises(InputError, match=words) as error:
        ht.models.normalized(plain(), mean, deviation)
    assert "\n" not in str(error.value)
