"""The small networks equal the originals in size and in what they compute."""

import numpy as np
import pytest

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.models import small
from tests import golden
from tests.models import reference


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # Each convolution k * k * in * out + out, each dense in * out + out.
        ("mnist_model", 272 + 8224 + (1568 * 100 + 100) + 1010),
        ("mnist_model_large", 1974762),
        ("cifar_model", 784 + 8224 + (2048 * 100 + 100) + 1010),
        # The figure published with the original.
        ("cifar_model_large", 2466858),
        # The original's definition, counted in PyTorch.
        ("cifar_model_resnet", 4624770),
        ("digits_model", 160 + 4640 + 18496 + 36928 + 32896 + 1290),
    ],
)
def test_parameter_count(name, count):
    assert getattr(models, name)().count_params() == count


@pytest.mark.parametrize(
    ("name", "input_shape"),
    [
        ("mnist_model", (28, 28, 1)),
        ("mnist_model_large", (28, 28, 1)),
        ("cifar_model", (32, 32, 3)),
        # Odd sizes on the way: 30, 15, 7.
        ("cifar_model", (30, 30, 3)),
        ("cifar_model_large", (32, 32, 3)),
        ("cifar_model_resnet", (32, 32, 3)),
    ],
)
def test_logits_equal_the_original_network(name, input_shape):
    expected = golden.load("models")[f"{name}_{input_shape[0]}"]
    logits = reference.logits(models.create(name, input_shape, 10))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_residual_network_follows_its_settings():
    model = small.residual_convnet(
        (8, 8, 3), 4, name="net", num_units=1, width_factor=2
    )
    kernels = {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel")
    }
    assert kernels["block1_unit2_conv1"] == (3, 3, 32, 32)
    assert kernels["block2_unit1_conv1"] == (4, 4, 32, 64)
    assert kernels["block2_unit1_shortcut"] == (2, 2, 32, 64)
    assert kernels["dense1"] == (2 * 2 * 128, 1000)
    assert "block2_unit2_conv1" not in kernels


@pytest.mark.parametrize(
    "name",
    ["mnist_model", "cifar_model", "cifar_model_large", "cifar_model_resnet"],
)
def test_four_pixels_are_the_least(name):
    assert models.create(name, (4, 4, 1), 3).output_shape == (None, 3)
    with pytest.raises(
        InputError,
        match=rf"\(3, 4, 1\) is too small for {name}, .* at least 4 x 4",
    ):
        models.create(name, (3, 4, 1), 3)


def test_digits_model_has_readable_layer_names():
    names = [
        layer.name for layer in models.digits_model().layers if layer.weights
    ]
    assert names == ["conv1", "conv2", "conv3", "conv4", "dense1", "logits"]
