"""Random small networks of every supported layer, for property tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers
from keras import ops

import hydra_tf as ht

Draw = Callable[..., Any]

# As arguments of layers.
_ACTIVATIONS = (
    None,
    None,
    "relu",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with the ends of boxes of its input.

    Attributes:
        model: The network.
        lower: Array `(batch, *input_shape)`.
        upper: Array of that shape.
        seed: For whatever else is random.
    """

    model: keras.Model
    lower: np.ndarray
    upper: np.ndarray
    seed: int

    def describe(self) -> str:
        """Returns the network's layers."""
        return "\n".join(
            f"{layer.name}: {layer.get_config()}" for layer in self.model.layers
        )


def _one_of(draw: Draw, *choices: Any) -> Any:
    return draw(st.sampled_from(choices))


def _activation(draw: Draw) -> Any:
    if draw(st.integers(0, 5)) == 0:
        return layers.LeakyReLU(negative_slope=0.3)
    return draw(st.sampled_from(_ACTIVATIONS))


def _activation_layer(draw: Draw, x: Any) -> Any:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return layers.Activation(draw(st.sampled_from(_ACTIVATIONS[2:])))(x)
    if kind == 1:
        return layers.LeakyReLU(negative_slope=_one_of(draw, 0.1, 1.0, 1.5))(x)
    if kind == 2:
        return layers.ReLU(
            max_value=_one_of(draw, None, 0.5, 6.0),
            negative_slope=_one_of(draw, 0.0, 0.2, 1.2),
            threshold=_one_of(draw, 0.0, 0.25),
        )(x)
    if kind == 3:
        return layers.ELU(alpha=_one_of(draw, 0.0, 0.5, 1.0, 2.0))(x)
    if kind == 4:
        function = _one_of(
            draw,
            ops.relu,
            ops.leaky_relu,
            ops.relu6,
            ops.gelu,
            ops.silu,
            ops.sigmoid,
            ops.tanh,
            ops.softplus,
        )
        return function(x)
    return layers.ReLU()(x)


def _normalization(draw: Draw, x: Any) -> Any:
    """Returns a layer's output that depends on all entries of an axis."""
    kind = draw(st.integers(0, 3))
    axis = draw(st.integers(1, len(x.shape) - 1))
    if kind == 0:
        return layers.Softmax(_one_of(draw, axis, -1))(x)
    if kind == 1:
        return layers.RMSNormalization(epsilon=0.01)(x)
    return layers.LayerNormalization(
        axis=_one_of(draw, axis, -1, list(range(1, len(x.shape)))),
        epsilon=_one_of(draw, 0.1, 1e-3),
        scale=draw(st.booleans()),
        center=draw(st.booleans()),
    )(x)


def _same(draw: Draw, x: Any) -> Any:
    """Returns a layer's output of the shape of its input."""
    kind = draw(st.integers(0, 5))
    if kind == 5:
        return _normalization(draw, x)
    if kind == 0:
        scale = draw(st.booleans())
        return layers.BatchNormalization(
            axis=draw(st.integers(1, len(x.shape) - 1)),
            scale=scale,
            center=draw(st.booleans()),
        )(x)
    if kind == 1:
        return layers.Rescaling(
            _one_of(draw, 0.5, -2.0), offset=_one_of(draw, 0.0, 0.3)
        )(x)
    if kind == 2:
        channels = x.shape[-1]
        return layers.Normalization(
            mean=np.linspace(-0.5, 1, channels),
            variance=np.linspace(0.3, 2, channels),
            invert=draw(st.booleans()),
        )(x)
    if kind == 3:
        return _one_of(
            draw,
            layers.Dropout(0.5),
            layers.GaussianNoise(1.0),
            layers.Identity(),
            layers.ActivityRegularization(0.1),
        )(x)
    return _activation_layer(draw, x)


def _conv_2d(
    draw: Draw, x: Any, *, padding: str | None = None, filters=None
) -> Any:
    """Returns a convolution's output; as large as its input for `"same"`."""
    height, width, channels = x.shape[1:]
    groups = draw(
        st.sampled_from([g for g in (1, 1, 2, 3) if channels % g == 0])
    )
    if filters is None:
        filters = groups * draw(st.integers(1, max(1, 4 // groups)))
    elif filters % groups:
        groups = 1
    strides = dilations = (1, 1)
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    keeps_size = padding is not None
    padding = padding or _one_of(draw, "valid", "same")
    kind = draw(st.integers(0, 3))
    if kind == 0:
        dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    elif kind == 1 and not keeps_size:
        strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        if channels == groups:
            # TensorFlow with oneDNN computes strides (1, 2) of a single channel
            # wrongly, where the output is one column wide.
            strides = (strides[0], strides[0])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if padding == "valid" and (reach[0] > height or reach[1] > width):
        padding = "same"
    return layers.Conv2D(
        filters,
        kernel,
        strides,
        padding,
        dilation_rate=dilations,
        groups=groups,
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _depthwise(draw: Draw, x: Any) -> Any:
    dilation = draw(st.integers(1, 2))
    # TensorFlow only has equal strides here, and none with dilations.
    strides = draw(st.integers(1, 2)) if dilation == 1 else 1
    return layers.DepthwiseConv2D(
        draw(st.integers(1, 3)),
        strides,
        "same",
        depth_multiplier=draw(st.integers(1, 2)),
        dilation_rate=dilation,
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _conv_2d_transpose(draw: Draw, x: Any) -> Any:
    return layers.Conv2DTranspose(
        draw(st.integers(1, 3)),
        draw(st.tuples(st.integers(2, 3), st.integers(2, 3))),
        draw(st.integers(1, 2)),
        _one_of(draw, "valid", "same"),
        use_bias=draw(st.booleans()),
        activation=_activation(draw),
    )(x)


def _resize(draw: Draw, x: Any) -> Any:
    kind = draw(st.integers(0, 5))
    height, width, channels = x.shape[1:]
    if kind == 0:
        sides = draw(
            st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)
        )
        return layers.ZeroPadding2D(sides)(x)
    if kind == 1 and height > 2 and width > 2:
        return layers.Cropping2D(((1, 0), (0, 1)))(x)
    if kind == 2 and height * width < 40:
        return layers.UpSampling2D(
            (1, 2), interpolation=_one_of(draw, "nearest", "bilinear")
        )(x)
    if kind == 3:
        return layers.Permute(
            draw(st.permutations([1, 2, 3])),
        )(x)
    if kind == 4:
        return layers.Reshape((width, height, channels))(x)
    return ops.reshape(x, (-1, height * width, 1, channels))


def _pool_2d(draw: Draw, x: Any) -> Any:
    cls = _one_of(draw, layers.AveragePooling2D, layers.MaxPooling2D)
    size = (min(2, x.shape[1]), min(_one_of(draw, 1, 2, 3), x.shape[2]))
    return cls(
        size,
        strides=_one_of(draw, 1, 2),
        padding=_one_of(draw, "valid", "same"),
    )(x)


def _merged(draw: Draw, first: Any, second: Any) -> Any:
    """Returns two tensors of one shape merged, by a layer or an operator."""
    kind = draw(st.integers(0, 7))
    if kind == 7:
        return _one_of(draw, layers.Multiply()([first, second]), first * second)
    if kind == 0:
        return layers.Subtract()([first, second])
    if kind == 1:
        return layers.Average()([first, second, first])
    if kind == 2:
        return first + second
    if kind == 3:
        return ops.subtract(second, first)
    if kind == 4:
        axis = draw(st.integers(1, len(first.shape) - 1))
        axis -= _one_of(draw, 0, len(first.shape))
        return layers.Concatenate(axis)([first, second])
    return layers.Add()([first, second])


def _branches(draw: Draw, x: Any) -> Any:
    """Returns a residual block or branches side by side."""
    filters = x.shape[-1]
    first = _conv_2d(draw, x, padding="same", filters=filters)
    if draw(st.booleans()):
        first = _same(draw, first)
    second = x
    if draw(st.booleans()):
        second = _conv_2d(draw, x, padding="same", filters=filters)
    return _merged(draw, first, second)


def _nested(draw: Draw, x: Any) -> Any:
    inputs = keras.Input(x.shape[1:])
    kind = draw(st.integers(0, 2))
    if kind == 0:
        other = keras.Input(x.shape[1:])
        outputs = _merged(draw, inputs, other), layers.ReLU()(other)
        first, second = keras.Model([inputs, other], outputs)(
            [x, layers.Rescaling(-1.0)(x)]
        )
        return second if draw(st.booleans()) else first
    if kind == 1:
        outputs = _activation_layer(draw, _conv_2d(draw, inputs))
        return keras.Model(inputs, outputs)(x)
    inner = keras.Sequential(
        [
            layers.Conv2D(2, 2, padding="same"),
            keras.Sequential([layers.ReLU(), layers.Conv2D(2, 1)]),
        ]
    )
    return inner(x)


def _shared(draw: Draw, x: Any) -> Any:
    """Returns the output of a layer that is called twice."""
    conv = layers.Conv2D(
        x.shape[-1],
        2,
        padding="same",
        activation=_one_of(draw, None, "relu", "tanh"),
    )
    once = conv(x)
    twice = conv(layers.ReLU()(once))
    return twice if draw(st.booleans()) else _merged(draw, once, twice)


def _two_activations(draw: Draw, x: Any) -> Any:
    """Returns two activations of one value, merged."""
    return _merged(draw, _activation_layer(draw, x), _activation_layer(draw, x))


_IMAGE_BLOCKS = (
    _conv_2d,
    _conv_2d,
    _conv_2d,
    _depthwise,
    _conv_2d_transpose,
    _same,
    _same,
    _resize,
    _pool_2d,
    _branches,
    _branches,
    _nested,
    _shared,
    _two_activations,
)


def _attention(draw: Draw, x: Any) -> Any:
    """Returns attention among the entries of a series, and what is after it."""
    y = _normalization(draw, x) if draw(st.booleans()) else x
    z = layers.Dense(3)(x) if draw(st.booleans()) else y
    layer = _one_of(
        draw,
        layers.MultiHeadAttention(2, 2, use_bias=draw(st.booleans())),
        layers.MultiHeadAttention(1, 3, value_dim=2),
        layers.GroupQueryAttention(2, 2, 1),
    )
    y = layer(y, value=z) if draw(st.booleans()) else layer(y, y, key=y)
    return x + y


def _series_block(draw: Draw, x: Any) -> Any:
    length, channels = x.shape[1:]
    kind = draw(st.integers(0, 12))
    if kind > 9:
        return _attention(draw, x)
    if kind < 4:
        dilation = draw(st.integers(1, 2))
        groups = _one_of(draw, 1, channels)
        return layers.Conv1D(
            groups * draw(st.integers(1, 2)),
            draw(st.integers(1, min(2, length))),
            draw(st.integers(1, 2)) if dilation == 1 else 1,
            _one_of(draw, "same", "causal"),
            dilation_rate=dilation,
            groups=groups,
            activation=_activation(draw),
        )(x)
    if kind == 4:
        cls = _one_of(draw, layers.AveragePooling1D, layers.MaxPooling1D)
        return cls(2, padding="same")(x)
    if kind == 5:
        layer = _one_of(
            draw,
            layers.ZeroPadding1D((1, 2)),
            layers.UpSampling1D(2),
            layers.SpatialDropout1D(0.5),
        )
        return layer(x)
    if kind == 6 and length > 2:
        return layers.Cropping1D((1, 1))(x)
    if kind == 7:  # On the last axis of a series.
        return layers.Dense(2, activation=_activation(draw))(x)
    if kind == 8:
        return _two_activations(draw, x)
    return _same(draw, x)


def _head(draw: Draw, x: Any) -> Any:
    """Returns the outputs `(batch, 3)` for maps or series."""
    if draw(st.integers(0, 2)) == 0:
        series = len(x.shape) == 3
        choices = (
            (layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D)
            if series
            else (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
        )
        x = _one_of(draw, *choices)()(x)
    else:
        x = layers.Flatten()(x)
    for _ in range(draw(st.integers(0, 2))):
        x = layers.Dense(4, activation=_activation(draw))(x)
        if draw(st.booleans()):
            x = _same(draw, x)
    if draw(st.integers(0, 3)) == 0:
        x = _merged(draw, layers.Dense(4)(x), layers.Dense(4)(x))
    if draw(st.integers(0, 7)) == 0:
        return x  # Ends in whatever came last.
    return layers.Dense(3)(x)


def _set_weights(model: keras.Model, random: np.random.Generator) -> None:
    for weight in model.weights:
        name, shape = weight.path.split("/")[-1], weight.shape
        if name == "moving_variance":
            weight.assign(random.uniform(0.2, 2, shape))
        elif weight.dtype == "float32" and name != "density":
            weight.assign(random.normal(0, 0.7, shape))


def draw_case(draw: Draw) -> Case:
    """Returns a network with random weights, and boxes of two inputs.

    Args:
        draw: That of `hypothesis.strategies.data()`: making Keras layers draws
            random numbers, which a strategy of its own must not do.
    """
    seed = draw(st.integers(0, 2**20))
    random = np.random.default_rng(seed)
    if draw(st.integers(0, 3)) == 0:
        shape: tuple[int, ...] = (5, 2)
        inputs = x = keras.Input(shape)
        for _ in range(draw(st.integers(1, 3))):
            x = _series_block(draw, x)
    else:
        shape = (5, 4, draw(st.integers(1, 3)))
        inputs = x = keras.Input(shape)
        for _ in range(draw(st.integers(1, 4))):
            x = draw(st.sampled_from(_IMAGE_BLOCKS))(draw, x)
    model = keras.Model(inputs, _head(draw, x))
    density = draw(st.sampled_from([None, None, 0.2, 0.6]))
    if all(weight.name != "kernel" for weight in model.weights):
        density = None  # There is nothing to mask.
    if density is not None:
        model = ht.to_masked(model, density=density)
    _set_weights(model, random)
    if density is not None:
        ht.set_phase(model, _one_of(draw, "pretrain", "prune", "finetune"))
    center = random.uniform(-1, 1, (2, *shape))
    radius = draw(st.sampled_from([0.01, 0.1, 1.0]))
    radius = radius * random.uniform(0, 1, center.shape)
    radius *= random.random(center.shape) > 0.2  # Some entries are fixed.
    return Case(model, center - radius, center + radius, seed)
