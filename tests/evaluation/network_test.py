"""The network that is measured, and the images."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.attacks.logits import predictions
from hydra_tf.errors import InputError
from hydra_tf.evaluation import as_exported
from hydra_tf.evaluation import network

IMAGES = np.random.default_rng(0).uniform(size=(9, 3)).astype(np.float32)


def plain(activation=None):
    return keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, activation)]
    )


def test_masks_are_made_permanent():
    masked = ht.to_masked(plain(), density=0.5)
    ht.init_scores(masked)
    ht.set_phase(masked, "finetune")
    for model in (masked, ht.RobustModel(masked, ht.objectives.Natural())):
        exported = as_exported(model)
        assert np.count_nonzero(exported.layers[-1].kernel) == 6
        np.testing.assert_array_equal(
            predictions(exported, IMAGES),
            predictions(model, IMAGES),
        )


def test_what_has_no_masks_stays_what_it_is():
    model = plain()
    assert as_exported(model) is model
    assert as_exported(abs) is abs
    with pytest.raises(ht.InputError, match="`model` ends in a softmax"):
        as_exported(plain("softmax"))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (255 * IMAGES, np.zeros(9, int), r"`images` must lie in \[0, 1\]"),
        (np.full((1, 3), np.nan), [0], r"`images` must lie in \[0, 1\]"),
        (np.zeros((2, 3), np.uint8), [0, 1], "float images"),
        (IMAGES, np.zeros(8, int), "8 labels, 9 images"),
        (IMAGES, np.zeros(9), "class indices as integers"),
    ],
)
def test_wrong_data_is_named(images, labels, message):
    with pytest.raises(ht.InputError, match=message):
        network.checked_data(images, labels)


def test_labels_may_be_a_column():
    _, labels = network.checked_data(IMAGES, np.arange(9)[:, np.newaxis])
    assert labels.tolist() == list(range(9))


def test_a_network_of_0_to_255_is_measured_with_a_warning():
    scaled = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Dense(3),
        ]
    )
    images, labels = np.full((2, 4), 0.5, np.float32), np.array([0, 1])
    with pytest.warns(UserWarning, match=r"takes pixels of 0..255"):
        network.checked_data(images, labels, scaled)
    with pytest.raises(InputError, match=r"Rescaling\(255.0\), model"):
        network.checked_data(255 * images, labels, scaled)
    in_front = [keras.Input((4,)), keras.layers.Rescaling(255.0), scaled]
    network.checked_data(images, labels, keras.Sequential(in_front))


def test_probabilities_of_a_subclassed_model_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return keras.ops.softmax(x)

    with pytest.raises(InputError, match="`model` returns probabilities"):
        ht.evaluation.evaluate(Subclassed(), IMAGES, np.zeros(9, int))
