"""Tests of what is refused: boxes, specifications, images and labels."""

import keras
import numpy as np
import pytest
from keras import layers

from hydra_tf import bounds
from hydra_tf.errors import InputError
from tests.bounds.random_points import random_box
from tests.bounds.random_points import residual_network


@pytest.fixture(scope="module")
def network():
    return residual_network(small=True)


@pytest.fixture(scope="module")
def box(network):
    return random_box(network, batch=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda low, high: (low[:, 1:], high[:, 1:]), r"\(batch, 6, 5, 2\)"),
        (lambda low, high: (low[0], high[0]), r"\(batch, 6, 5, 2\)"),
        (lambda low, high: (low[:2], high), "`lower` and `upper` must have"),
        (lambda low, high: (high + 1, low), "`lower` must nowhere be above"),
        (lambda low, high: (low * np.nan, high), "nor be NaN"),
    ],
)
def test_bad_boxes_are_refused(network, box, change, message):
    with pytest.raises(InputError, match=message):
        bounds.BoundPropagation(network, *change(*box))


@pytest.mark.parametrize(
    "shape", [(3, 4), (3, 2, 5), (2, 2, 4)], ids=["flat", "outputs", "batch"]
)
def test_bad_specifications_are_refused(network, box, shape):
    with pytest.raises(InputError, match=r"`spec` must .*\(batch, specs, 4\)"):
        bounds.interval(network, *box, np.ones(shape))


def test_specifications_need_vectors_of_outputs():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 2)])
    ends = random_box(model)
    assert bounds.crown(model, *ends)[0].shape == (2, 3, 3, 2)
    with pytest.raises(InputError, match="`spec` needs a network that returns"):
        bounds.crown(model, *ends, np.ones((1, 1, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": -0.1}, "`epsilon` must be a number >= 0.*-0.1"),
        ({"epsilon": float("nan")}, "`epsilon` must be a number >= 0.*nan"),
        ({"epsilon": 8}, "For 8 of 255 levels pass 8/255"),
        ({"epsilon": [0.1, 0.2]}, "`epsilon` must be a number"),
        ({"epsilon": None}, "`epsilon` must be a number"),
        ({"epsilon": "8/255"}, "`epsilon` must be a number"),
        ({"method": "crown-ibp"}, "'crown-ibp'.*Did you mean 'crown_ibp'"),
        ({"y": [0, 1, 2, 4]}, "`y` must hold classes from 0 to 3.*4"),
        ({"y": [0, -1, 2, 3]}, "`y` must hold classes from 0 to 3.*-1"),
        (
            {"y": np.eye(4, dtype=int)},
            "`y` must hold one class index per image",
        ),
        ({"y": [0.0, 1.0, 2.0, 3.0]}, "`y` must hold class indices.*float32"),
        ({"y": [3]}, "one label for each image.*1 labels, 4 images"),
        ({"clip": (1.0, 0.0)}, r"`clip` .*Received: clip=.1.0, 0.0"),
        ({"clip": (0.0, float("nan"))}, "`clip` must be a pair"),
        ({"clip": 1.0}, "`clip` must be a pair .*clip=1.0"),
        ({"x": np.full((4, 6, 5, 2), 200)}, r"`x` must lie in \[0, 1\]"),
        (
            {"x": np.full((4, 6, 5, 2), np.nan)},
            r"`x` must lie in \[0, 1\].*nan",
        ),
        ({"x": np.zeros((4, 6, 5, 1))}, r"\(batch, 6, 5, 2\).*6, 5, 1"),
    ],
)
def test_bad_arguments_are_named(network, arguments, message):
    x = np.full((4, 6, 5, 2), 0.5, np.float32)
    given = {"x": x, "y": [0, 1, 2, 3], "epsilon": 0.1, **arguments}
    with pytest.raises(InputError, match=message) as caught:
        bounds.margins(network, **given)
    assert "\n" not in str(caught.value)


def test_margins_need_classes():
    inputs = keras.Input((4, 4, 1))
    image = np.zeros((1, 4, 4, 1), np.float32)
    maps = keras.Model(inputs, keras.layers.Conv2D(2, 2)(inputs))
    with pytest.raises(InputError, match=r"logits .*\(None, 3, 3, 2\)"):
        bounds.margins(maps, image, [0], 0.1)
    single = keras.Sequential(
        [inputs, keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    with pytest.raises(InputError, match=r"two classes or more.*\(None, 1\)"):
        bounds.margins(single, image, [0], 0.1)
