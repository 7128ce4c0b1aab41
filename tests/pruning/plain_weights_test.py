"""Weights of plain models in masked ones, and back."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError


def network(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def check_equal(model, wanted):
    weights = {w.path.split("/", 1)[1]: w for w in model.weights}
    others = {w.path.split("/", 1)[1]: w for w in wanted.weights}
    assert weights.keys() == others.keys()
    for name, weight in weights.items():
        if not name.endswith("mask"):  # of an earlier finetune phase
            np.testing.assert_array_equal(weight, others[name], name)


@pytest.mark.parametrize("granularity", ["weight", "channel", "filter", "1:2"])
def test_arrays_of_the_plain_model(granularity):
    masked = ht.to_masked(network(1), granularity=granularity)
    plain = network(2)
    ht.set_plain_weights(masked, plain.get_weights())
    check_equal(masked, ht.to_masked(plain, granularity=granularity))


def test_file_of_the_plain_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "plain.weights.h5"
    plain = network(2)
    plain.save_weights(path)
    masked = ht.to_masked(network(1), density=0.3)
    with pytest.raises(ValueError, match=r"set_plain_weights\(model, path\)"):
        masked.load_weights(path)
    for given in (path, str(path), "~/plain.weights.h5"):
        ht.set_plain_weights(masked, given)
        check_equal(masked, ht.to_masked(plain, density=0.3))


def test_file_of_the_masked_model_for_the_plain_one(tmp_path):
    path = tmp_path / "masked.weights.h5"
    masked = ht.to_masked(network(2), density=0.3)
    masked.save_weights(path)
    copy = ht.to_masked(network(1))
    copy.load_weights(path)
    plain = network(1)
    plain.set_weights(ht.strip_masks(copy).get_weights())
    images = np.random.default_rng(0).random((2, 8, 8, 2), np.float32)
    np.testing.assert_array_equal(plain(images), masked(images))


def test_mask_of_the_finetune_phase_follows():
    masked = ht.to_masked(network(1), density=0.3)
    ht.set_phase(masked, "finetune")
    plain = network(2)
    ht.set_plain_weights(masked, plain.get_weights())
    wanted = ht.to_masked(plain, density=0.3)
    for layer in masked.layers:
        if isinstance(layer, ht.layers.MaskedLayer):
            other = wanted.get_layer(layer.name)
            np.testing.assert_array_equal(layer.mask, other.mask)


def test_arrays_of_a_plain_layer():
    masked = ht.to_masked(network(1), density=0.3)
    plain = network(2).get_layer("hidden")
    layer = masked.get_layer("hidden")
    ht.set_plain_weights(layer, plain.get_weights())
    np.testing.assert_array_equal(layer.kernel, plain.kernel)
    wanted = ht.to_masked(network(2), density=0.3).get_layer("hidden")
    np.testing.assert_array_equal(layer.scores, wanted.scores)


def test_set_weights_names_the_way():
    masked = ht.to_masked(network(1))
    with pytest.raises(InputError, match=r"set_plain_weights\(model, weights"):
        masked.set_weights(network(2).get_weights())
    wanted = ht.to_masked(network(2), density=0.3)
    masked.set_weights(wanted.get_weights())
    check_equal(masked, wanted)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda model: model.get_weights(), "for its own set_weights"),
        (lambda model: [np.zeros(3)] * 10, "`weights` .*10 of shapes .3, 3, 2"),
        (lambda model: 3, "`weights` cannot be taken"),
        (lambda model: "no.weights.h5", "'no.weights.h5' cannot be taken"),
    ],
)
def test_weights_of_something_else_change_nothing(weights, message):
    masked = ht.to_masked(network(1))
    before = masked.get_weights()
    with pytest.raises(InputError, match=message):
        ht.set_plain_weights(masked, weights(masked))
    for one, other in zip(before, masked.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match="no masked layer"):
        ht.set_plain_weights(network(), network().get_weights())
