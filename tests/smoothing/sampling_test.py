"""Tests of sending images through networks under many draws of noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.smoothing.networks import assert_same
from tests.smoothing.networks import golden_net

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), np.float32)


@pytest.fixture(scope="module")
def network():
    return golden_net(golden.load("smoothing"))


@pytest.mark.parametrize("n0, n", [(10, 190), (1, 2)])
def test_batch_size_changes_no_result(n0, n, network):
    expected = ht.smoothing.certify(
        network, IMAGES, 0.5, n0, n, 0.01, batch_size=64, seed=1
    )
    assert len(set(expected.counts.tolist())) > 1
    for batch_size in (1 if n < 10 else 7, 100, 5_000):
        certified = ht.smoothing.certify(
            network, IMAGES, 0.5, n0, n, 0.01, batch_size=batch_size, seed=1
        )
        assert_same(certified, expected)


def test_parts_of_the_images_give_the_results_of_the_whole(network):
    whole = ht.smoothing.predict(network, IMAGES, 0.5, 50, seed=1)
    for first, last in [(0, 2), (2, 3), (3, 6)]:
        part = ht.smoothing.predict(
            network, IMAGES[first:last], 0.5, 50, seed=1, first_index=first
        )
        np.testing.assert_array_equal(part.counts, whole.counts[first:last])


def test_seed_decides_the_draws(network):
    def counts(seed):
        certified = ht.smoothing.certify(network, IMAGES, 0.5, n=200, seed=seed)
        return certified.counts.tolist()

    assert counts(3) == counts(3)
    assert counts(3) != counts(4)


def test_one_forward_pass_never_holds_more_than_a_batch(network):
    sizes = set()

    def model(images):
        sizes.add(images.shape[0])
        return network(images)

    ht.smoothing.certify(model, IMAGES, 0.5, 3, 30, batch_size=16)
    assert sizes == {16}


def test_saved_models_are_certified_like_the_networks_in_them(
    network, tmp_path
):
    ht.export_saved_model(network, tmp_path / "saved")
    expected = ht.smoothing.certify(network, IMAGES, 0.5, 10, 100)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for model in (loaded, loaded.signatures["serving_default"]):
        certified = ht.smoothing.certify(model, IMAGES, 0.5, 10, 100)
        assert_same(certified, expected)


def test_masked_networks_are_certified_with_their_masks(network):
    masked = ht.to_masked(network)
    ht.set_density(masked, 0.3)
    ht.set_phase(masked, "prune")
    assert_same(
        ht.smoothing.certify(masked, IMAGES, 0.5, 10, 100),
        ht.smoothing.certify(ht.strip_masks(masked), IMAGES, 0.5, 10, 100),
    )


def test_networks_that_end_in_a_softmax_are_named():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )
    for function in (
        ht.smoothing.certify,
        ht.smoothing.predict,
        ht.smoothing.quick_certify,
    ):
        with pytest.raises(ht.InputError, match="softmax, layer 'probabilit"):
            function(model, IMAGES, 0.25)
