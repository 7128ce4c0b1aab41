"""The vision transformers have the sizes of the literature."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.models import vit


def block(width):
    """Weights of four projections, two dense layers and two norms."""
    attention = 4 * (width * width + width)
    return attention + 2 * 4 * width * width + 5 * width + 4 * width


@pytest.mark.parametrize(
    ("name", "width", "depth", "pixels"),
    [("vit_tiny", 192, 12, 4 * 4 * 3), ("digits_vit", 64, 4, 2 * 2 * 1)],
)
def test_parameter_count(name, width, depth, pixels):
    model = getattr(models, name)()
    assert model.name == name
    stem_and_logits = pixels * width + width + 2 * width + 10 * width + 10
    assert model.count_params() == depth * block(width) + stem_and_logits
    heads = model.get_layer("block1_attention").num_heads
    assert heads == {192: 3, 64: 4}[width]


@pytest.mark.parametrize(
    ("size", "patch_size"), [(224, 16), (64, 8), (32, 4), (28, 4), (8, 2)]
)
def test_patches_follow_the_size_of_the_image(size, patch_size):
    assert vit.patch_size_of((size, size + 8)) == patch_size


def test_images_of_any_size():
    model = vit.vit((9, 5, 1), 3, name="net", width=8, depth=1, num_heads=2)
    assert model.get_layer("tokens").output.shape == (None, 15, 8)


def test_every_place_has_a_position_of_its_own():
    found = vit.positions(8, 8, 192)
    assert found.shape == (64, 192)
    distances = np.linalg.norm(found[:, None] - found, axis=-1)
    assert np.all(distances[~np.eye(64, dtype=bool)] > 0.1)
    # Of the same row alike in one half, of the same column in the other.
    np.testing.assert_array_equal(found[0, 96:], found[7, 96:])
    np.testing.assert_array_equal(found[0, :96], found[56, :96])


def test_patches_start_as_large_as_their_positions():
    keras.utils.set_random_seed(0)
    model = models.vit_tiny()
    tokens = keras.Model(model.input, model.get_layer("tokens").output)
    images = np.random.default_rng(0).uniform(size=(4, 32, 32, 3))
    assert 0.2 < np.std(tokens(images)) < 2
    assert 0.5 < np.std(vit.positions(8, 8, 192)) < 1


def test_projections_start_differently():
    keras.utils.set_random_seed(0)
    attention = models.digits_vit().get_layer("block1_attention")
    query, key = attention.query_dense.kernel, attention.key_dense.kernel
    assert not np.array_equal(query, key)


def test_is_masked_all_but_norms():
    masked = ht.to_masked(models.digits_vit(), strict=True)
    # Patches and logits; four projections and two dense layers a block.
    assert len(ht.masked_layers(masked)) == 2 + 4 * 6


def test_impossible_width_is_named():
    with pytest.raises(InputError, match="`width` .* width=10, num_heads=2"):
        vit.vit((8, 8, 1), 2, name="net", width=10, depth=1, num_heads=2)
