"""Tests of rules, layer by layer, against what the layers compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds.trace import trace
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights

IMAGE, SERIES, VECTOR = (5, 4, 3), (6, 3), (6,)

# Linear layers: all the bounds on one of them are exact.
CASES = [
    (VECTOR, layers.Dense(4)),
    (SERIES, layers.Dense(4, use_bias=False)),
    (IMAGE, layers.Dense(2)),
    (SERIES, layers.EinsumDense("abc,cd->abd", (6, 4), bias_axes="d")),
    (SERIES, layers.EinsumDense("abc,bde->ade", (2, 3), bias_axes="de")),
    (SERIES, layers.EinsumDense("...c,cd->...d", 4)),
    (IMAGE, layers.Conv2D(4, (3, 2), (2, 1))),
    (IMAGE, layers.Conv2D(4, 2, (2, 3), padding="same")),
    (IMAGE, layers.Conv2D(6, 2, padding="same", groups=3)),
    (IMAGE, layers.Conv2D(2, 2, dilation_rate=(2, 1), padding="same")),
    (IMAGE, layers.Conv2D(2, 2, dilation_rate=2)),
    (SERIES, layers.Conv1D(4, 3, 2)),
    (SERIES, layers.Conv1D(6, 2, padding="same", groups=3)),
    (SERIES, layers.Conv1D(4, 2, padding="causal", dilation_rate=2)),
    (IMAGE, layers.DepthwiseConv2D(2, 2, padding="same")),
    (IMAGE, layers.DepthwiseConv2D(2, depth_multiplier=2)),
    (IMAGE, layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)),
    (IMAGE, layers.Conv2DTranspose(2, 3, 2)),
    (IMAGE, layers.Conv2DTranspose(2, 3, 2, "same", output_padding=1)),
    (VECTOR, layers.BatchNormalization()),
    (IMAGE, layers.BatchNormalization()),
    (IMAGE, layers.BatchNormalization(axis=1, scale=False)),
    (IMAGE, layers.BatchNormalization(axis=2, center=False)),
    (IMAGE, layers.Rescaling(-2.0, offset=0.5)),
    (IMAGE, layers.Rescaling(0.5, offset=np.linspace(0, 1, 3))),
    (IMAGE, layers.Normalization(mean=[0, 1, 2], variance=[1, 2, 3])),
    (IMAGE, layers.Normalization(mean=0.5, variance=4.0, axis=None)),
    (
        VECTOR,
        layers.Normalization(
            mean=np.arange(6), variance=np.ones(6), invert=True
        ),
    ),
    (IMAGE, layers.AveragePooling2D(2)),
    (IMAGE, layers.AveragePooling2D((3, 2), 1, padding="same")),
    (SERIES, layers.AveragePooling1D(2)),
    (IMAGE, layers.GlobalAveragePooling2D()),
    (IMAGE, layers.GlobalAveragePooling2D(keepdims=True)),
    (SERIES, layers.GlobalAveragePooling1D()),
    (IMAGE, layers.Flatten()),
    (IMAGE, layers.Reshape((4, -1))),
    (IMAGE, layers.Permute((3, 1, 2))),
    (IMAGE, layers.Cropping2D(((1, 0), (0, 2)))),
    (SERIES, layers.Cropping1D(1)),
    (IMAGE, layers.ZeroPadding2D(((1, 0), (0, 2)))),
    (SERIES, layers.ZeroPadding1D((2, 1))),
    (SERIES, layers.UpSampling1D(2)),
    (IMAGE, layers.UpSampling2D((2, 1))),
    (IMAGE, layers.UpSampling2D((2, 3), interpolation="bilinear")),
    (IMAGE, layers.Dropout(0.5)),
    (IMAGE, layers.SpatialDropout2D(0.5)),
    (SERIES, layers.SpatialDropout1D(0.5)),
    (VECTOR, layers.AlphaDropout(0.5)),
    (VECTOR, layers.GaussianDropout(0.5)),
    (VECTOR, layers.GaussianNoise(1.0)),
    (VECTOR, layers.ActivityRegularization(0.1)),
    (VECTOR, layers.Identity()),
]


def network(shape, layer):
    return set_random_weights(keras.Sequential([keras.Input(shape), layer]))


def by_name(case):
    return case.name if isinstance(case, layers.Layer) else None


@pytest.mark.parametrize(("shape", "layer"), CASES, ids=by_name)
def test_linear_layers_have_exact_bounds(shape, layer):
    model = network(shape, layer)
    lower, upper = random_box(model)
    # The corner where each output is largest, by the sign of its row.
    basis = np.eye(int(np.prod(shape)), dtype=np.float32)
    origin = np.asarray(model(np.zeros((1, *shape), np.float32)))
    rows = np.asarray(model(basis.reshape(-1, *shape))) - origin
    rows = rows.reshape(len(basis), -1)
    center = (lower + upper).reshape(2, -1) / 2
    radius = (upper - lower).reshape(2, -1) / 2
    middle, reach = center @ rows + origin.reshape(1, -1), radius @ abs(rows)
    for method in (ht.bounds.interval, ht.bounds.crown):
        ends = method(model, lower, upper)
        for end, expected in zip(
            ends, (middle - reach, middle + reach), strict=True
        ):
            assert end.shape[1:] == model.output_shape[1:]
            np.testing.assert_allclose(
                np.reshape(end, [2, -1]), expected, rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize(("shape", "layer"), CASES, ids=by_name)
def test_transposed_maps_are_those_of_the_layers(shape, layer):
    model = network(shape, layer)
    random = np.random.default_rng(3)
    x = random.normal(size=(2, *shape))
    values, shapes = tf.constant(x), [shape]
    for node in trace(model).nodes:
        values = node.operation(values)
        shapes.append(tuple(values.shape[1:]))
    np.testing.assert_allclose(
        values, model(x.astype(np.float32)), rtol=1e-4, atol=1e-4
    )
    rows = cotangent = tf.constant(random.normal(size=values.shape))
    constant = 0.0
    for node, before in zip(
        reversed(trace(model).nodes), reversed(shapes[:-1]), strict=True
    ):
        bias = node.operation.bias
        if bias is not None:
            constant += np.sum(rows * np.asarray(bias))
        rows = node.operation.transpose(rows, before)
    np.testing.assert_allclose(
        np.sum(cotangent * values), np.sum(rows * x) + constant, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        (IMAGE, layers.MaxPooling2D(2)),
        (IMAGE, layers.MaxPooling2D(3, 1, padding="same")),
        (SERIES, layers.MaxPooling1D(2)),
        (IMAGE, layers.GlobalMaxPooling2D()),
        (SERIES, layers.GlobalMaxPooling1D(keepdims=True)),
    ],
    ids=by_name,
)
def test_max_pooling_has_exact_intervals(shape, layer):
    model = network(shape, layer)
    ends = random_box(model)
    for method in (ht.bounds.interval, ht.bounds.crown):
        for end, bound in zip(ends, method(model, *ends), strict=True):
            np.testing.assert_allclose(bound, layer(end), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        (VECTOR, layers.Dense(4)),
        (IMAGE, layers.Conv2D(4, 3, padding="same")),
        (SERIES, layers.Conv1D(4, 3)),
        (IMAGE, layers.DepthwiseConv2D(3)),
        (IMAGE, layers.Conv2DTranspose(2, 3, 2)),
    ],
    ids=by_name,
)
@pytest.mark.parametrize("phase", ["pretrain", "prune", "finetune"])
def test_masked_layers_are_bounded_by_their_effective_kernels(
    shape, layer, phase
):
    model = keras.Sequential(
        [keras.Input(shape), layer, layers.ReLU(), layers.Flatten()]
    )
    masked = ht.to_masked(set_random_weights(model), density=0.4)
    ht.set_phase(masked, phase)
    assert_sound(masked)
    box = random_box(masked)
    if phase == "pretrain":
        same = model
    else:
        same = ht.strip_masks(masked)
    for bound, expected in zip(
        ht.bounds.crown(masked, *box), ht.bounds.crown(same, *box), strict=True
    ):
        np.testing.assert_allclose(bound, expected, rtol=1e-6, atol=1e-6)
