"""Kernels of PyTorch compute the same in the layout of Keras."""

import keras
import numpy as np

from hydra_tf.torch_checkpoints import kernels

RANDOM = np.random.default_rng(0)


def test_convolution_by_hand():
    weight = RANDOM.normal(size=(5, 4, 2, 3)).astype(np.float32)
    image = RANDOM.normal(size=(4, 2, 3)).astype(np.float32)
    kernel = kernels.to_keras(weight)
    assert kernels.torch_shape(kernel.shape) == weight.shape
    outputs = keras.ops.conv(image.transpose(1, 2, 0)[None], kernel)
    expected = np.sum(weight * image, axis=(1, 2, 3))
    np.testing.assert_allclose(outputs[0, 0, 0], expected, rtol=1e-5)


def test_dense_layer_after_a_map():
    weight = RANDOM.normal(size=(7, 4 * 2 * 3)).astype(np.float32)
    image = RANDOM.normal(size=(4, 2, 3)).astype(np.float32)
    kernel = kernels.to_keras(weight, (2, 3, 4))
    assert kernels.torch_shape(kernel.shape) == weight.shape
    np.testing.assert_allclose(
        image.transpose(1, 2, 0).reshape(-1) @ kernel,
        weight @ image.reshape(-1),
        rtol=1e-5,
    )
