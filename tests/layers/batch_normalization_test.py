"""Batch normalisation by the fused kernel is that of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.layers import FusedBatchNormalization
from tests.keras_version import needs_new_keras


def computed(layer, images, training):
    """Returns outputs, gradients and running statistics of a layer."""
    tf.random.set_seed(0)
    layer.build(images.shape)
    for position, variable in enumerate(layer.variables):
        values = np.linspace(0.5, 1.5, variable.shape[0]) + position
        variable.assign(values)
    images = tf.constant(images)
    sources = [images, *(each.value for each in layer.trainable_variables)]

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
            loss = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
        return outputs, tape.gradient(loss, sources)

    outputs, gradients = run()
    return [
        outputs.dtype,
        *(
            keras.ops.convert_to_numpy(keras.ops.cast(each, "float32"))
            for each in (outputs, *gradients, *layer.non_trainable_variables)
        ),
    ]


def compare(arguments, shape, training, tolerance=2e-5):
    images = np.random.default_rng(0).normal(1, 2, shape).astype("float32")
    arguments = {"momentum": 0.7, "epsilon": 1e-5, **arguments}
    expected, found = (
        computed(made(**arguments), images, training)
        for made in (keras.layers.BatchNormalization, FusedBatchNormalization)
    )
    assert found[0] == expected[0]
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max()
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"center": False}, {"scale": False}, {"axis": 3}, {"axis": 1}],
    ids=str,
)
def test_is_that_of_keras(arguments, training):
    compare(arguments, (5, 4, 3, 6), training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (9, 5)),
        ({}, (2, 3, 2, 2, 4)),
        pytest.param({"renorm": True}, (5, 4, 3, 6), marks=needs_new_keras),
    ],
)
def test_what_the_kernel_does_not_have_is_left_to_keras(
    arguments, shape, training
):
    compare(arguments, shape, training)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("training", [True, False])
def test_computes_in_float32_inside(precision, training):
    rounding = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-9}[precision]
    compare({"dtype": precision}, (5, 4, 3, 6), training, rounding)


def test_frozen_layer_uses_running_statistics():
    compare({"trainable": False}, (5, 4, 3, 6), training=True)
