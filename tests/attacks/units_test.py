"""Radii in the units of the images that a network takes."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.attacks.units import check_units
from hydra_tf.attacks.units import rescaling_of
from hydra_tf.attacks.units import takes_bytes
from hydra_tf.errors import InputError

layers = keras.layers


def network(*first):
    end = [layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([keras.Input((4, 4, 3)), *first, *end])


def by_operation(change):
    image = keras.Input((4, 4, 3))
    outputs = layers.Dense(3)(layers.Flatten()(change(image)))
    return keras.Model(image, outputs)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.rescale = layers.Rescaling(1 / 127.5, -1)
        self.classify = layers.Dense(3)

    def call(self, x):
        return self.classify(layers.Flatten()(self.rescale(x)))


IMAGENET = layers.Normalization(
    mean=[124.0, 116.0, 104.0], variance=[3409.0, 3262.0, 3291.0]
)
OF_BYTES = [
    lambda: network(layers.Rescaling(1 / 255)),
    lambda: network(layers.Rescaling(1 / 127.5, -1)),
    lambda: network(layers.RandomFlip(), layers.Reshape((4, 4, 3)), IMAGENET),
    lambda: network(network_inside()),
    lambda: by_operation(lambda x: x / 255),
    lambda: by_operation(lambda x: x * (1 / 255) - 0.5),
    lambda: by_operation(lambda x: keras.ops.divide(x, 255.0)),
    lambda: by_operation(lambda x: (x - 127.5) / 127.5),
    Subclassed,
]
NOT_OF_BYTES = [
    lambda: network(),
    lambda: network(layers.Conv2D(3, 3), layers.Rescaling(1 / 255)),
    lambda: network(layers.Rescaling(255.0), layers.Rescaling(1 / 255)),
    lambda: network(layers.Rescaling(2, -1)),
    lambda: network(layers.Normalization(mean=0.5, variance=0.06, axis=None)),
    lambda: by_operation(lambda x: x * 2 - 1),
    lambda: by_operation(lambda x: 255 - x),
    lambda: by_operation(lambda x: (x + keras.ops.flip(x)) / 255),
    lambda: lambda x: x,
]


def network_inside():
    image = keras.Input((4, 4, 3))
    return keras.Model(image, layers.Rescaling(1 / 255)(image))


@pytest.mark.parametrize("make", OF_BYTES)
def test_networks_that_divide_take_bytes(make):
    model = make()
    assert takes_bytes(model)
    assert 1 / 256 < rescaling_of(model)[1] < 1 / 20
    check_units(model, (0, 255), dict(epsilon=8.0, sigma=None))
    check_units(model, None, dict(epsilon=0))
    for clip in ((0, 255), None):
        with pytest.raises(InputError, match="give epsilon=8, or put"):
            check_units(model, clip, dict(epsilon=8 / 255))
    with pytest.raises(InputError, match=r"clip=\(0, 255\) and epsilon=8, or"):
        check_units(model, (0, 1), dict(epsilon=8 / 255))
    with pytest.warns(UserWarning, match=r"clip=\(0, 255\) and sigma=63.75"):
        check_units(model, (0, 1), dict(sigma=0.25), strict=False)


@pytest.mark.parametrize("make", NOT_OF_BYTES)
def test_others_take_what_clip_says(make):
    model = make()
    assert not takes_bytes(model)
    check_units(model, (0, 1), dict(epsilon=8 / 255, sigma=0.25))
    check_units(model, None, dict(epsilon=8 / 255))
    check_units(model, (0, 255), dict(epsilon=8))
    with pytest.raises(InputError, match="`clip` is .* give epsilon=8,"):
        check_units(model, (0, 255), dict(epsilon=8 / 255))


def test_training_on_bytes_perturbs_by_whole_pixels():
    keras.utils.set_random_seed(0)
    model = network(layers.Rescaling(1 / 255))
    with pytest.warns(UserWarning, match="takes pixels of 0..255"):
        ht.RobustModel(model, ht.objectives.TRADES())
    with pytest.raises(InputError, match="give epsilon=8"):
        ht.RobustModel(model, ht.objectives.TRADES(clip=(0, 255)))
    found = []

    class Recording(ht.objectives.Madry):
        def perturb(self, model, x, y, seed=None):
            found.append((x, super().perturb(model, x, y, seed=seed)))
            return found[-1][1]

    robust = ht.RobustModel(
        model, Recording(clip=(0, 255), epsilon=8, num_steps=2)
    )
    robust.compile("sgd", run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    robust.fit(images, np.arange(6) % 3, verbose=0)
    x, perturbed = (each.numpy() for each in found[0])
    assert 7 < np.abs(perturbed - x).max() <= 8
    assert 0 <= perturbed.min() and perturbed.max() <= 255
    # The same in units of [0, 1].
    unit = keras.Sequential([keras.Input((4, 4, 3)), layers.Rescaling(255.0)])
    unit.add(model)
    ht.RobustModel(unit, ht.objectives.TRADES())


def test_input_of_whole_numbers_lets_no_gradient_through():
    image = keras.Input((4, 4, 3), dtype="uint8")
    outputs = layers.Dense(3)(
        layers.Flatten()(layers.Rescaling(1 / 255)(image))
    )
    model = keras.Model(image, outputs)
    with pytest.raises(InputError, match="dtype uint8.*no gradient"):
        ht.RobustModel(model, ht.objectives.TRADES(clip=(0, 255), epsilon=8))
    with pytest.raises(InputError, match="dtype uint8.*no gradient"):
        x = np.zeros((1, 4, 4, 3), np.float32)
        ht.attacks.fgsm(model, x, [0], epsilon=8, clip=(0, 255))
    ht.RobustModel(model, ht.objectives.Natural(clip=(0, 255)))


def test_an_attack_warns_of_a_radius_in_units_of_0_to_1():
    x = np.full((1, 4, 4, 3), 9, np.float32)
    with pytest.warns(UserWarning, match="is epsilon=8 meant"):
        ht.attacks.fgsm(network(), x, [0], epsilon=8 / 255, clip=(0, 255))
