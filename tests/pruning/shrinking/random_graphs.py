"""Random networks of all the layers that channels are followed through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers
from keras import ops

Draw = Callable[[st.SearchStrategy], Any]

_ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "leaky_relu", "softplus")


def network(draw: Draw, num_steps: int = 6) -> keras.Model:
    """Draws a network; its weights are `set_random_weights`'.

    Maps go through layers of all kinds, with branches that meet again, then
    through a flattening or pooling and dense layers.
    """
    channels = draw(st.integers(1, 3))
    inputs = keras.Input((5, 6, channels))
    maps = [inputs]
    for _ in range(num_steps):
        x = maps[draw(st.integers(max(len(maps) - 3, 0), len(maps) - 1))]
        y = draw(st.sampled_from(_STEPS))(draw, x)
        if min(y.shape[1:3]) >= 1:
            maps.append(y)
    # Whatever nothing has read so far is read here.
    ends = [maps[-1], maps[draw(st.integers(0, len(maps) - 1))]]
    features = [_features(draw, x) for x in ends[: draw(st.integers(1, 2))]]
    x = features[0]
    if len(features) > 1:
        x = layers.Concatenate()(features)
    if draw(st.booleans()):
        x = layers.Dense(draw(st.integers(1, 5)), activation=_activation(draw))(
            x
        )
        x = layers.BatchNormalization()(x) if draw(st.booleans()) else x
    outputs = layers.Dense(3)(x)
    if draw(st.integers(0, 4)) == 0:
        return keras.Model(inputs, [outputs, maps[-1]])
    return keras.Model(inputs, outputs)


def set_random_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every weight, running statistics included, a value of its own."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed_generator" in variable.path:
            continue
        value = rng.normal(size=variable.shape) * 0.5
        if "variance" in variable.name:
            value = np.abs(value) + 0.5
        variable.assign(value)
    return model


def _activation(draw: Draw) -> Any:
    return draw(st.sampled_from(_ACTIVATIONS))


def _features(draw: Draw, x: Any) -> Any:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return layers.GlobalAveragePooling2D()(x)
    if kind == 1:
        return layers.GlobalMaxPooling2D()(x)
    if kind == 2:
        size = int(np.prod(x.shape[1:]))
        return ops.reshape(x, (-1, size))
    if kind == 3:  # Through sequences.
        x = layers.Reshape((-1, x.shape[-1]))(x)
        x = layers.Conv1D(
            draw(st.integers(1, 4)),
            1 if x.shape[1] < 2 else 2,
            padding=draw(st.sampled_from(["valid", "same", "causal"])),
            activation=_activation(draw),
        )(x)
        x = layers.Dense(draw(st.integers(1, 3)))(x)
        return layers.GlobalAveragePooling1D()(x)
    return layers.Flatten()(x)


def _conv(draw: Draw, x: Any) -> Any:
    height, width, channels = x.shape[1:]
    groups = 1
    if draw(st.integers(0, 5)) == 0:
        groups = channels
    dilation = draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.sampled_from(["valid", "same"]))
    reach = [(size - 1) * dilation + 1 for size in kernel]
    if reach[0] > height or reach[1] > width:
        padding = "same"
    return layers.Conv2D(
        groups * draw(st.integers(1, 4 if groups == 1 else 2)),
        kernel,
        draw(st.integers(1, 2)) if dilation == 1 else 1,
        padding,
        dilation_rate=dilation,
        groups=groups,
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _depthwise(draw: Draw, x: Any) -> Any:
    return layers.DepthwiseConv2D(
        draw(st.integers(1, min(3, *x.shape[1:3]))),
        padding=draw(st.sampled_from(["valid", "same"])),
        depth_multiplier=draw(st.integers(1, 2)),
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _transpose(draw: Draw, x: Any) -> Any:
    if x.shape[1] > 6:
        return x
    return layers.Conv2DTranspose(
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
        draw(st.sampled_from(["valid", "same"])),
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _elementwise(draw: Draw, x: Any) -> Any:
    layer = draw(
        st.sampled_from(
            [
                lambda: layers.BatchNormalization(),
                lambda: layers.BatchNormalization(scale=False, center=False),
                lambda: layers.ReLU(max_value=1.0),
                lambda: layers.LeakyReLU(),
                lambda: layers.PReLU(),
                lambda: layers.PReLU(shared_axes=[1, 2]),
                lambda: layers.ELU(),
                lambda: layers.Activation("gelu"),
                lambda: layers.Dropout(0.5),
                lambda: layers.SpatialDropout2D(0.5),
                lambda: layers.GaussianNoise(0.5),
                lambda: layers.Rescaling(2.0, -0.5),
                lambda: ops.relu,
                lambda: lambda y: 1.0 - y,
            ]
        )
    )()
    return layer(x)


def _resize(draw: Draw, x: Any) -> Any:
    height, width, channels = x.shape[1:]
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return layers.ZeroPadding2D(((1, 0), (0, 1)))(x)
    if kind == 1 and min(height, width) > 1:
        return layers.Cropping2D(((1, 0), (0, 1)))(x)
    if kind == 2 and max(height, width) < 7:
        return layers.UpSampling2D(
            2, interpolation=draw(st.sampled_from(["nearest", "bilinear"]))
        )(x)
    if kind == 3:
        return layers.Permute((2, 1, 3))(x)
    if kind == 4:
        return layers.Reshape((height * width, 1, channels))(x)
    pool = draw(st.sampled_from([layers.AveragePooling2D, layers.MaxPooling2D]))
    return pool(2, strides=draw(st.integers(1, 2)), padding="same")(x)


def _residual(draw: Draw, x: Any) -> Any:
    y = layers.Conv2D(
        x.shape[-1], 3, padding="same", activation=_activation(draw)
    )(x)
    merge = draw(
        st.sampled_from(
            [
                layers.Add(),
                layers.Subtract(),
                layers.Multiply(),
                layers.Average(),
                layers.Maximum(),
                layers.Minimum(),
                lambda pair: pair[0] + pair[1],
            ]
        )
    )
    return merge([y, x])


def _branches(draw: Draw, x: Any) -> Any:
    y = layers.Conv2D(draw(st.integers(1, 3)), 1, activation=_activation(draw))(
        x
    )
    if y.shape[-1] == x.shape[-1] and draw(st.booleans()):
        return layers.Concatenate(axis=draw(st.integers(1, 2)))([x, y])
    return layers.Concatenate()([x, y])


def _gate(draw: Draw, x: Any) -> Any:
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(draw(st.integers(1, 2)), 1, activation="relu")(y)
    y = layers.Dense(x.shape[-1], activation="sigmoid")(y)
    return layers.Multiply()([x, y])


def _shared(draw: Draw, x: Any) -> Any:
    layer = layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")
    return layer(layers.BatchNormalization()(layer(x)))


def _nested(draw: Draw, x: Any) -> Any:
    inner_inputs = keras.Input(x.shape[1:])
    y = draw(st.sampled_from(_STEPS[:5]))(draw, inner_inputs)
    y = layers.Conv2D(x.shape[-1], 1)(y)
    inner = keras.Model(inner_inputs, y)
    y = inner(x)
    fits = tuple(y.shape) == tuple(x.shape)
    return inner(y) if fits and draw(st.booleans()) else y


def _attention(draw: Draw, x: Any) -> Any:
    if draw(st.booleans()):
        layer = layers.MultiHeadAttention(
            draw(st.integers(1, 3)),
            2,
            value_dim=draw(st.integers(1, 3)),
            use_bias=draw(st.booleans()),
        )
        return layer(x, x)
    heads = draw(st.sampled_from([(2, 1), (4, 2), (3, 3)]))
    tokens = layers.Reshape((-1, x.shape[-1]))(x)
    tokens = layers.GroupQueryAttention(2, *heads)(tokens, tokens)
    return layers.Reshape(x.shape[1:])(tokens)


def _mlp(draw: Draw, x: Any) -> Any:
    channels, letters = x.shape[-1], draw(st.sampled_from(["de", "ed"]))
    y = layers.Dense(draw(st.integers(2, 4)), activation=_activation(draw))(x)
    return x + layers.EinsumDense(
        f"abcd,{letters}->abce",
        (*x.shape[1:3], channels),
        bias_axes=draw(st.sampled_from([None, "e"])),
    )(y)


def _opaque(draw: Draw, x: Any) -> Any:
    return draw(
        st.sampled_from(
            [
                layers.Softmax(),
                layers.LayerNormalization(),
                layers.SeparableConv2D(2, 2, padding="same"),
                lambda y: ops.flip(y, axis=-1),
            ]
        )
    )(x)


_STEPS = (
    _conv,
    _elementwise,
    _resize,
    _residual,
    _conv,
    _branches,
    _depthwise,
    _gate,
    _nested,
    _opaque,
    _shared,
    _transpose,
    _elementwise,
    _attention,
    _mlp,
)
