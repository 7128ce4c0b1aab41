"""The VGG networks equal the originals in size and in what they compute."""

import numpy as np
import pytest

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.models import vgg
from tests import golden
from tests.models import reference


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # The originals' definitions, counted in PyTorch. By hand for vgg2:
        # 27 * 64 + 576 * 64 and 65792 + 65792 + 2570 for the dense layers.
        ("vgg2", 1728 + 36864 + 65792 + 65792 + 2570),
        ("vgg2_bn", 172746 + 2 * (64 + 64)),
        ("vgg4", 459466),
        ("vgg4_bn", 459466 + 2 * 384),
        ("vgg8", 5276362),
        ("vgg8_bn", 5276362 + 2 * 1920),
        ("vgg11", 9810634),
        ("vgg11_bn", 9810634 + 2 * 2752),
        # By hand: 432 and a sixteenth of the other kernels, the dense layers,
        # batch norm.
        ("vgg11_bn_narrow", 432 + 9216000 // 16 + 37642 + 2 * 688),
        ("vgg13", 9994954),
        ("vgg13_bn", 9994954 + 2 * 2944),
        ("vgg16", 15303370),
        ("vgg16_bn", 15303370 + 2 * 4224),
    ],
)
def test_trainable_parameter_count(name, count):
    model = getattr(models, name)()
    assert model.name == name
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == count


def test_vgg16_bn_kernels_have_the_original_shapes():
    expected = golden.load("strategies")["vgg16_bn_module_shapes"]
    shapes = [
        (1, 1, *layer.kernel.shape)[-4:]
        for layer in models.vgg16_bn().layers
        if hasattr(layer, "kernel")
    ]
    np.testing.assert_array_equal(shapes, expected)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg2", 32),
        # 9 x 9 maps are averaged over windows that overlap.
        ("vgg4_bn", 38),
        ("vgg8_bn", 32),
        ("vgg11", 32),
        ("vgg13_bn", 32),
        ("vgg16_bn", 32),
    ],
)
def test_logits_equal_the_original_network(name, size):
    expected = golden.load("models")[f"{name}_{size}"]
    logits = reference.logits(models.create(name, (size, size, 3), 10))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size"), [("vgg2", 8), ("vgg4_bn", 8), ("vgg11", 32)]
)
def test_too_small_an_image_is_named(name, size):
    assert models.create(name, (size, size, 1), 3).output_shape == (None, 3)
    with pytest.raises(
        InputError, match=f"too small for {name}, .* at least {size} x {size}"
    ):
        models.create(name, (size, size - 1, 1), 3)


def test_logits_of_a_fresh_narrow_network_tell_images_apart():
    images = np.random.default_rng(0).uniform(size=(16, 32, 32, 3))
    logits = models.vgg11_bn_narrow().predict(images, verbose=0)
    # With the papers' kernels of deviation 0.01 it is 5e-6, and a network may
    # never learn under attack.
    assert np.std(logits, axis=0).mean() > 1e-4


def test_unknown_configuration_names_the_close_ones():
    with pytest.raises(InputError, match="`config_name` 'vgg61'.*'vgg16'"):
        vgg.vgg("vgg61")


def test_layer_names_tell_block_and_position():
    names = [
        layer.name for layer in models.vgg8().layers if hasattr(layer, "kernel")
    ]
    assert names == [
        "block1_conv1",
        "block1_conv2",
        "block2_conv1",
        "block2_conv2",
        "block3_conv1",
        "block3_conv2",
        "block4_conv1",
        "block4_conv2",
        "dense1",
        "dense2",
        "logits",
    ]
