"""Padding, initial weights and argument checks of the common pieces."""

import keras
import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.models import parts
from tests import golden


@pytest.mark.parametrize(
    ("kernel_size", "strides", "padded"),
    [(3, 1, False), (3, 2, True), (4, 2, False)],
)
def test_padding_of_one_equals_the_original(kernel_size, strides, padded):
    arrays = golden.load("phases")
    key = f"pad_k{kernel_size}s{strides}"
    image = keras.Input((8, 8, 3))
    output = parts.conv(
        image,
        4,
        kernel_size,
        strides=strides,
        padding=1,
        use_bias=False,
        initializers=parts.kaiming_normal,
        name="conv",
    )
    model = keras.Model(image, output)
    model.get_layer("conv").set_weights([arrays[f"{key}_kernel"]])
    np.testing.assert_allclose(
        model(arrays["pad_x"]), arrays[f"{key}_out"], rtol=1e-5, atol=1e-6
    )
    assert ("conv_pad" in [layer.name for layer in model.layers]) == padded


@pytest.mark.parametrize("size", range(1, 10))
@pytest.mark.parametrize(
    ("kernel_size", "strides", "padding"),
    [(3, 1, 1), (3, 2, 1), (4, 2, 1), (2, 2, 0), (1, 2, 0), (7, 2, 3)],
)
def test_output_size_follows_the_formula_of_symmetric_padding(
    size, kernel_size, strides, padding
):
    expected = (size + 2 * padding - kernel_size) // strides + 1
    if expected < 1:
        pytest.raises(ValueError, _conv, size, kernel_size, strides, padding)
    else:
        output = _conv(size, kernel_size, strides, padding)
        assert output.shape == (None, expected, expected, 2)


def _conv(size, kernel_size, strides, padding):
    return parts.conv(
        keras.Input((size, size, 1)),
        2,
        kernel_size,
        strides=strides,
        padding=padding,
        initializers=parts.kaiming_normal,
        name="conv",
    )


@pytest.mark.parametrize(
    ("start", "deviation"),
    [
        (parts.truncated_normal, 0.02),
        # Uniform in +-sqrt(6 / (64 + 192)).
        (parts.xavier_uniform, (2 / (64 + 192)) ** 0.5),
    ],
)
def test_deviation_of_dense_kernels(start, deviation):
    keras.utils.set_random_seed(0)
    kernel = start(64)["kernel_initializer"]((64, 192))
    # The truncation takes an eighth off.
    assert 0.85 * deviation < np.std(kernel) < 1.05 * deviation
    assert not np.any(start(64)["bias_initializer"]((3,)))


def test_kaiming_normal_has_variance_two_over_fan_out():
    keras.utils.set_random_seed(1)
    start = parts.kaiming_normal(fan_in=9 * 64)
    kernel = np.asarray(start["kernel_initializer"]((3, 3, 64, 128)))
    deviation = np.sqrt(2 / (9 * 128))
    assert kernel.std() == pytest.approx(deviation, rel=0.02)
    # A truncated normal would end at 2.3 deviations.
    assert np.abs(kernel).max() > 3 * deviation
    assert not np.any(start["bias_initializer"]((128,)))


def test_fan_in_uniform_fills_its_interval():
    keras.utils.set_random_seed(1)
    start = parts.fan_in_uniform(fan_in=100)
    for initializer in start.values():
        values = np.asarray(initializer((100, 50)))
        assert np.abs(values).max() <= 0.1
        assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.05)


def test_batch_norm_has_the_constants_of_the_originals():
    image = keras.Input((4, 4, 3))
    layer = keras.Model(image, parts.batch_norm(image, name="bn")).get_layer(
        "bn"
    )
    assert layer.epsilon == 1e-5
    assert layer.momentum == 0.9


@pytest.mark.parametrize(
    "input_shape",
    [None, 32, "323", (32, 32), (32, 32, 3, 1), (None, 32, 3), (0, 8, 1)],
)
def test_bad_image_shape_is_named(input_shape):
    with pytest.raises(InputError, match="`input_shape` must be three pos"):
        parts.check_arguments("net", input_shape, 10)


@pytest.mark.parametrize("num_classes", [0, -1, 2.0, None, True, "10"])
def test_bad_number_of_classes_is_named(num_classes):
    with pytest.raises(InputError, match="`num_classes` must be a positive"):
        parts.check_arguments("net", (8, 8, 1), num_classes)


def test_numpy_integers_are_accepted():
    shape = parts.check_arguments("net", np.array([8, 8, 1]), np.int64(3))
    assert shape == (8, 8, 1)
