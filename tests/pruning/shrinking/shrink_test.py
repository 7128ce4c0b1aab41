"""Tests of shrinking: the same outputs of fewer channels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.channels.rules import kernel_axes
from tests.pruning.shrinking import random_graphs
from tests.pruning.shrinking.random_graphs import set_random_weights


def assert_equal_outputs(model, smaller, tolerance=1e-5):
    """Checks outputs on random inputs, also after a change of all inputs."""
    rng = np.random.default_rng(1)
    inputs = [
        rng.normal(size=(3, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    ]
    inputs = inputs[0] if len(inputs) == 1 else inputs
    expected = keras.tree.flatten(model(inputs))
    actual = keras.tree.flatten(smaller(inputs))
    for one, other in zip(expected, actual, strict=True):
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(one, other, atol=tolerance * scale, rtol=0)


def kernel_inputs_first(layer):
    """Returns a view of a kernel with its input and output axes first."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    kernel = kernel_axes(layer).unfolded(kernel)
    return np.moveaxis(kernel, (-2, -1), (0, 1))


def assign_inputs_first(layer, kernel):
    kernel = np.moveaxis(kernel, (0, 1), (-2, -1))
    layer.kernel.assign(kernel_axes(layer).folded(kernel))


def unread(model, dead):
    """Zeroes what layers read of the units in `dead`, a set."""
    for channels in channel_flow(model).layers:
        if isinstance(channels.layer, layers.DepthwiseConv2D):
            continue
        kernel = kernel_inputs_first(channels.layer).copy()
        kernel[np.isin(channels.inputs, list(dead))] = 0
        assign_inputs_first(channels.layer, kernel)
    return model


def remove(model, fraction=0.5, seed=0):
    """Makes a fraction of the units be read by nobody; returns their set."""
    flow = channel_flow(model)
    free = set(range(1 + max(max(each.outputs) for each in flow.layers)))
    free = np.array(sorted(free - flow.pinned))
    dead = np.random.default_rng(seed).permutation(free)
    dead = {*dead[: int(fraction * len(dead))].tolist()}
    unread(model, dead)
    return dead


def sizes(model):
    """Returns the kernel shapes of a model by layer name."""
    return {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel")
    }


def num_weights(model):
    return sum(int(np.prod(weight.shape)) for weight in model.weights)


# --- any network ------------------------------------------------------------

PROPERTY = settings(
    deadline=None,
    max_examples=12,
    derandomize=True,
    # Making a failing network smaller would take minutes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@PROPERTY
@given(st.data())
def test_any_network_keeps_its_outputs_and_loses_its_dead_channels(data):
    model = set_random_weights(random_graphs.network(data.draw))
    dead = remove(model, data.draw(st.sampled_from([0.2, 0.5, 1.0])))
    smaller = ht.shrink(model)
    assert_equal_outputs(model, smaller)
    assert num_weights(smaller) <= num_weights(model)
    flow = channel_flow(model)
    # Each tensor that would lose all channels keeps one of them.
    tensors = [*flow.values.values(), *flow.heads.values()]
    emptied = sum(dead >= set(units.tolist()) for units in tensors)
    for before, after in zip(
        flow.layers, channel_flow(smaller).layers, strict=True
    ):
        for units, left in (
            (before.inputs, after.inputs),
            (before.outputs, after.outputs),
        ):
            alive = np.count_nonzero(~np.isin(units, list(dead)))
            positions = np.unique(units, return_counts=True)[1].max()
            assert len(left) <= alive + emptied * positions


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_any_zeros_in_any_network_leave_its_outputs(data):
    model = set_random_weights(random_graphs.network(data.draw))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for channels in channel_flow(model).layers:
        kernel = kernel_inputs_first(channels.layer).copy()
        for axis in range(2):
            zero = rng.random(kernel.shape[axis]) < rng.choice([0, 0.3, 0.9])
            kernel[(slice(None),) * axis + (zero,)] = 0
        assign_inputs_first(channels.layer, kernel)
        bias = channels.layer.bias
        if bias is not None and rng.random() < 0.5:
            bias.assign(np.where(rng.random(bias.shape) < 0.7, 0, bias))
    smaller = ht.shrink(model)
    assert_equal_outputs(model, smaller)
    assert num_weights(smaller) <= num_weights(model)
    assert num_weights(ht.shrink(smaller)) <= num_weights(smaller)


def test_a_network_without_zeros_stays_as_it_is():
    model = set_random_weights(ht.models.create("digits_model", (8, 8, 1), 10))
    smaller = ht.shrink(model)
    for one, other in zip(model.weights, smaller.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sizes(smaller) == sizes(model)


# --- networks of known sizes ------------------------------------------------


def conv(filters, name, size=3, padding="same", **kwargs):
    return layers.Conv2D(filters, size, padding=padding, name=name, **kwargs)


def zero_inputs(model, **channels):
    """Zeroes input channels of layers by name."""
    for name, dead in channels.items():
        layer = model.get_layer(name)
        kernel = kernel_inputs_first(layer).copy()
        kernel[dead] = 0
        assign_inputs_first(layer, kernel)


def zero_outputs(model, bias=None, **channels):
    """Zeroes filters of layers by name, and sets their bias."""
    for name, dead in channels.items():
        layer = model.get_layer(name)
        kernel = kernel_inputs_first(layer).copy()
        kernel[:, dead] = 0
        assign_inputs_first(layer, kernel)
        if bias is not None:
            values = layer.bias.numpy()
            values[dead] = bias
            layer.bias.assign(values)


def vgg_like():
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                conv(6, "conv1"),
                layers.BatchNormalization(name="bn1"),
                layers.ReLU(),
                layers.MaxPooling2D(),
                conv(8, "conv2", use_bias=False),
                layers.BatchNormalization(name="bn2"),
                layers.PReLU(name="prelu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(7, activation="relu", name="hidden"),
                layers.Dense(10, name="logits"),
            ]
        )
    )


def test_a_chain_loses_what_its_layers_do_not_read():
    model = vgg_like()
    zero_inputs(model, conv2=[0, 4], logits=[1, 2, 3])
    hidden = kernel_inputs_first(model.get_layer("hidden")).copy()
    hidden.reshape(2, 2, 8, 7)[:, :, [5]] = 0  # Behind the flattening.
    hidden[0] = 0  # One position alone keeps its channel.
    assign_inputs_first(model.get_layer("hidden"), hidden)
    smaller = ht.shrink(model)
    assert type(smaller) is keras.Sequential
    assert sizes(smaller) == {
        "conv1": (3, 3, 3, 4),
        "conv2": (3, 3, 4, 7),
        "hidden": (4 * 7, 4),
        "logits": (4, 10),
    }
    assert smaller.get_layer("bn1").gamma.shape == (4,)
    assert smaller.get_layer("prelu").alpha.shape == (4, 4, 7)
    np.testing.assert_array_equal(
        smaller.get_layer("bn2").moving_variance,
        np.delete(model.get_layer("bn2").moving_variance, 5),
    )
    assert [layer.name for layer in smaller.layers] == [
        layer.name for layer in model.layers
    ]
    assert_equal_outputs(model, smaller)


def test_what_is_read_only_for_dead_channels_is_dead_too():
    model = vgg_like()
    # conv1's channel 2 is read for conv2's channel 3 alone, which is unread.
    kernel = kernel_inputs_first(model.get_layer("conv2")).copy()
    kernel[2, [c for c in range(8) if c != 3]] = 0
    assign_inputs_first(model.get_layer("conv2"), kernel)
    hidden = kernel_inputs_first(model.get_layer("hidden")).copy()
    hidden.reshape(2, 2, 8, 7)[:, :, 3] = 0
    assign_inputs_first(model.get_layer("hidden"), hidden)
    smaller = ht.shrink(model)
    assert sizes(smaller)["conv1"] == (3, 3, 3, 5)
    assert sizes(smaller)["conv2"] == (3, 3, 5, 7)
    assert_equal_outputs(model, smaller)


def residual_stage():
    inputs = keras.Input((8, 8, 3))
    x = conv(4, "stem")(inputs)
    for block in ("a", "b"):
        y = layers.BatchNormalization()(conv(5, f"{block}1", strides=1)(x))
        y = conv(6, f"{block}2")(layers.ReLU()(y))
        y = layers.BatchNormalization()(y)
        if block == "a":
            x = layers.BatchNormalization()(conv(6, "shortcut", 1)(x))
        x = layers.ReLU()(layers.Add()([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return set_random_weights(
        keras.Model(inputs, layers.Dense(10, name="logits")(x))
    )


def test_a_residual_stage_loses_channels_in_all_its_blocks():
    model = residual_stage()
    zero_inputs(model, a1=[0], shortcut=[0], a2=[1, 2], b2=[0])
    # Channel 3 of the stage is read by nobody; channel 4 by b1 alone.
    zero_inputs(model, b1=[3, 5], logits=[3, 4])
    smaller = ht.shrink(model)
    assert sizes(smaller) == {
        "stem": (3, 3, 3, 3),
        "a1": (3, 3, 3, 3),
        "a2": (3, 3, 3, 5),
        "shortcut": (1, 1, 3, 5),
        "b1": (3, 3, 5, 4),
        "b2": (3, 3, 4, 5),
        "logits": (5, 10),
    }
    assert_equal_outputs(model, smaller)


def test_a_block_that_only_feeds_itself_does_not_keep_its_channel():
    # b1 reads channel 3 of the stage and makes of it what b2 adds to channel
    # 3 alone; nobody else reads it.
    model = residual_stage()
    zero_inputs(model, logits=[3])
    kernel = kernel_inputs_first(model.get_layer("b1")).copy()
    kernel[3, 1:] = 0
    assign_inputs_first(model.get_layer("b1"), kernel)
    kernel = kernel_inputs_first(model.get_layer("b2")).copy()
    kernel[0, [0, 1, 2, 4, 5]] = 0
    assign_inputs_first(model.get_layer("b2"), kernel)
    smaller = ht.shrink(model)
    assert sizes(smaller)["b1"] == (3, 3, 5, 4)
    assert sizes(smaller)["b2"] == (3, 3, 4, 5)
    assert_equal_outputs(model, smaller)


def test_a_mobilenet_loses_channels_through_depthwise_convolutions():
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(conv(4, "stem")(inputs))
    x = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, name="depthwise"
    )(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = conv(5, "pointwise", 1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(x))
    set_random_weights(model)
    # Both channels that the depthwise makes of 1; of 2 only one.
    zero_inputs(model, pointwise=[2, 3, 4], logits=[0])
    smaller = ht.shrink(model)
    assert sizes(smaller) == {
        "stem": (3, 3, 3, 3),
        "depthwise": (3, 3, 3, 2),
        "pointwise": (1, 1, 6, 4),
        "logits": (4, 10),
    }
    assert smaller.get_layer("depthwise").bias.shape == (6,)
    assert smaller.get_layer("bn").gamma.shape == (6,)
    assert_equal_outputs(model, smaller)


def test_a_densenet_loses_channels_from_each_part_of_its_concatenations():
    inputs = keras.Input((8, 8, 3))
    x = conv(4, "stem")(inputs)
    for name in ("a", "b"):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, conv(2, name)(y)])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(x))
    set_random_weights(model)
    # Channels 0..3 are the stem's, 4 and 5 those of a, 6 and 7 those of b.
    zero_inputs(model, a=[0, 1], b=[0, 5], logits=[0, 1, 5, 6])
    smaller = ht.shrink(model)
    assert sizes(smaller) == {
        "stem": (3, 3, 3, 3),
        "a": (3, 3, 3, 1),
        "b": (3, 3, 4, 1),
        "logits": (5, 10),
    }
    assert_equal_outputs(model, smaller)


def test_maps_made_of_features_lose_all_positions_of_a_channel():
    inputs = keras.Input((5,))
    x = layers.Dense(12, name="features", activation="relu")(inputs)
    x = conv(2, "conv")(layers.Reshape((2, 2, 3))(x))
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))
    set_random_weights(model)
    zero_inputs(model, conv=[1])
    smaller = ht.shrink(model)
    assert sizes(smaller)["features"] == (5, 8)
    assert_equal_outputs(model, smaller)


# --- constants --------------------------------------------------------------


def chain(padding, use_bias=True, size=3):
    inputs = keras.Input((8, 8, 3))
    x = conv(4, "a")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(x))
    x = conv(5, "b", size, padding, use_bias=use_bias)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return set_random_weights(
        keras.Model(inputs, layers.Dense(10, name="logits")(x))
    )


def make_positive(model, channel):
    """Lets a constant come out of batch norm and ReLU as a positive one."""
    beta = model.get_layer("bn").beta.numpy()
    beta[channel] = 3.0
    model.get_layer("bn").beta.assign(beta)


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_constant_channel_becomes_a_part_of_the_bias_behind_it(use_bias):
    model = chain("valid", use_bias)
    zero_outputs(model, a=[2], bias=0.7)
    make_positive(model, 2)
    smaller = ht.shrink(model)
    assert sizes(smaller)["a"] == (3, 3, 3, 3)
    assert sizes(smaller)["b"] == (3, 3, 3, 5)
    assert smaller.get_layer("b").use_bias
    assert num_weights(smaller) < num_weights(model)
    assert_equal_outputs(model, smaller)


def test_a_constant_beside_padding_with_zeros_stays():
    model = chain("same")
    zero_outputs(model, a=[2], bias=0.7)
    make_positive(model, 2)
    assert sizes(ht.shrink(model)) == sizes(model)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_single_pixel_kernel_reads_no_padding(padding):
    model = chain(padding, size=1)
    zero_outputs(model, a=[2], bias=0.7)
    make_positive(model, 2)
    smaller = ht.shrink(model)
    assert sizes(smaller)["a"] == (3, 3, 3, 3)
    assert_equal_outputs(model, smaller)


def test_a_channel_of_zeros_goes_under_any_padding():
    model = chain("same", use_bias=False)
    zero_outputs(model, a=[2], bias=0.7)
    beta = model.get_layer("bn").beta.numpy()
    beta[2] = -9.0  # The ReLU makes zero of it.
    model.get_layer("bn").beta.assign(beta)
    smaller = ht.shrink(model)
    assert sizes(smaller)["a"] == (3, 3, 3, 3)
    assert not smaller.get_layer("b").use_bias
    assert_equal_outputs(model, smaller)


def test_a_constant_that_a_shared_layer_meets_only_once_stays():
    inputs = keras.Input((8, 8, 3))
    shared = conv(4, "shared", 1)
    x = shared(conv(4, "a")(inputs))
    model = keras.Model(
        inputs,
        layers.Dense(10)(layers.GlobalAveragePooling2D()(shared(x))),
    )
    set_random_weights(model)
    zero_outputs(model, a=[2], bias=0.7)
    smaller = ht.shrink(model)
    assert sizes(smaller)["shared"] == (1, 1, 4, 4)
    assert_equal_outputs(model, smaller)


def test_one_channel_stays_where_all_are_dead():
    model = vgg_like()
    kernel = model.get_layer("hidden").kernel
    kernel.assign(np.zeros(kernel.shape))
    smaller = ht.shrink(model)
    assert sizes(smaller) == {
        "conv1": (3, 3, 3, 1),
        "conv2": (3, 3, 1, 1),
        "hidden": (4, 1),
        "logits": (1, 10),
    }
    assert_equal_outputs(model, smaller)


# --- what stays -------------------------------------------------------------


class Doubled(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


@pytest.mark.parametrize(
    "between",
    [
        layers.Softmax(),
        layers.LayerNormalization(),
        Doubled(),
        layers.SeparableConv2D(4, 3),
        layers.Conv2D(4, 3, groups=2),
    ],
)
def test_channels_next_to_layers_that_mix_them_stay(between):
    inputs = keras.Input((8, 8, 3))
    x = conv(4, "b")(between(conv(4, "a")(inputs)))
    model = keras.Model(
        inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    )
    set_random_weights(model)
    zero_inputs(model, b=[1])
    zero_outputs(model, a=[2], bias=0.0)
    smaller = ht.shrink(model)
    assert num_weights(smaller) == num_weights(model)
    assert_equal_outputs(model, smaller)


def test_channels_first_stays_as_it_is():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="a")(inputs)
    x = layers.Conv2D(4, 3, data_format="channels_first", name="b")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    set_random_weights(model)
    zero_inputs(model, b=[1])
    smaller = ht.shrink(model)
    assert num_weights(smaller) == num_weights(model)
    for one, other in zip(model.weights, smaller.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_given_model_stays_as_it_is():
    model = residual_stage()
    remove(model)
    before = [weight.numpy().copy() for weight in model.weights]
    num_nodes = [len(layer._inbound_nodes) for layer in model.layers]
    config = model.get_config()
    ht.shrink(model)
    for one, other in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert num_nodes == [len(layer._inbound_nodes) for layer in model.layers]
    assert model.get_config() == config


# --- models of other forms --------------------------------------------------


def test_nested_models_become_one_graph_with_unique_names():
    def inner(name):
        return keras.Sequential(
            [keras.Input((8, 8, 4)), conv(4, "conv"), layers.ReLU()], name=name
        )

    inputs = keras.Input((8, 8, 3), name="image")
    x = inner("two")(inner("one")(conv(4, "stem")(inputs)))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x), name="net")
    set_random_weights(model)
    kernel = model.get_layer("two").get_layer("conv").kernel
    kernel.assign(kernel.numpy() * np.array([1, 0, 0, 1])[:, np.newaxis])
    smaller = ht.shrink(model)
    assert sizes(smaller) == {
        "stem": (3, 3, 3, 4),
        "conv": (3, 3, 4, 2),
        "two_conv": (3, 3, 2, 4),
        "logits": (4, 3),
    }
    assert smaller.name == "net"
    assert smaller.inputs[0].name == "image"
    assert_equal_outputs(model, smaller)


def test_outer_layers_keep_their_names_and_so_do_outputs_of_nested_models():
    inner_inputs = keras.Input((8, 8, 3))
    x = conv(2, "image")(conv(4, "conv")(inner_inputs))
    inner = keras.Model(inner_inputs, x, name="inner")
    inputs = keras.Input((8, 8, 3), name="image")
    x = inner(inputs)
    model = keras.Model(
        inputs, [layers.Dense(3, name="conv")(layers.Flatten()(x)), x]
    )
    smaller = ht.shrink(set_random_weights(model))
    assert smaller.get_layer("conv").kernel.shape == (128, 3)
    assert smaller.get_layer("inner_conv").kernel.shape == (3, 3, 3, 4)
    assert smaller.output_names == model.output_names == ["conv", "inner"]
    assert_equal_outputs(model, smaller)


def test_quantised_layers_stay_with_their_scales():
    model = vgg_like()
    model.get_layer("hidden").quantize("int8")
    zero_inputs(model, conv2=[0, 4])
    smaller = ht.shrink(model)
    assert sizes(smaller)["conv1"] == (3, 3, 3, 4)
    assert smaller.get_layer("hidden").quantization_mode == "int8"
    assert_equal_outputs(model, smaller)


def test_arguments_by_name_are_told_apart():
    inputs = keras.Input((8, 8, 3))
    a, b = conv(2, "a")(inputs), conv(2, "b")(inputs)
    x = keras.ops.subtract(x2=b, x1=a)
    model = keras.Model(inputs, layers.Conv2D(3, 3)(x))
    set_random_weights(model)
    zero_outputs(model, a=[0], b=[0], bias=0.0)
    for name, value in (("a", 2.0), ("b", 0.5)):
        model.get_layer(name).bias.assign([value, 0.0])
    smaller = ht.shrink(model)
    assert sizes(smaller)["a"] == (3, 3, 3, 1)
    assert_equal_outputs(model, smaller)


def test_a_layer_that_cannot_be_rebuilt_is_named():
    inputs = keras.Input((3,))
    x = layers.Activation(lambda x: 2 * x, name="twice")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(InputError, match=r"'twice' \(Activation\)") as caught:
        ht.shrink(model)
    assert "\n" not in str(caught.value)


def test_named_inputs_and_outputs_keep_their_names():
    inputs = {
        "left": keras.Input((8, 8, 3), name="left"),
        "right": keras.Input((8, 8, 3), name="right"),
    }
    x = layers.Concatenate()(
        [conv(4, "a")(inputs["left"]), conv(4, "b")(inputs["right"])]
    )
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(
        inputs, {"one": layers.Dense(2, name="one")(x), "all": x}
    )
    smaller = ht.shrink(set_random_weights(model))
    rng = np.random.default_rng(0)
    given = {
        name: rng.normal(size=(2, 8, 8, 3)).astype("float32") for name in inputs
    }
    expected, actual = model(given), smaller(given)
    assert set(actual) == {"one", "all"}
    for name in actual:
        np.testing.assert_allclose(expected[name], actual[name], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_dtype_policies_are_kept(policy):
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU(dtype=policy)(conv(4, "a", dtype=policy)(inputs))
    x = layers.Flatten(dtype=policy)(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits", dtype=policy)(x))
    set_random_weights(model)
    unread(model, set(channel_flow(model).layers[0].outputs[:2].tolist()))
    smaller = ht.shrink(model)
    layer = smaller.get_layer("a")
    assert layer.dtype_policy.name == policy
    assert layer.kernel.shape == (3, 3, 3, 2)
    tolerance = 1e-12 if policy == "float64" else 0.02
    assert_equal_outputs(model, smaller, tolerance)


def test_frozen_layers_stay_frozen():
    model = residual_stage()
    model.get_layer("a1").trainable = False
    smaller = ht.shrink(model)
    assert not smaller.get_layer("a1").trainable
    assert smaller.get_layer("a2").trainable
    model.trainable = False
    assert not ht.shrink(model).trainable_variables


def test_masks_are_stripped_first():
    model = ht.to_masked(residual_stage())
    layer = model.get_layer("b1")
    scores = np.ones(layer.scores.shape, "float32")
    scores[:, :, 3:] = 0
    layer.scores.assign(scores)
    layer.density = 0.5
    zero_inputs(model, logits=[3, 4])
    smaller = ht.shrink(model)
    assert sizes(smaller)["b1"] == (3, 3, 4, 5)
    assert not any(
        type(layer).__module__.startswith("hydra_tf")
        for layer in smaller.layers
    )
    assert_equal_outputs(model, smaller)


@pytest.mark.parametrize("granularity", ["channel", "filter"])
def test_structured_masks_leave_what_their_layers_say(granularity):
    model = ht.to_masked(residual_stage(), granularity=granularity, density=0.5)
    smaller = ht.shrink(model)
    assert_equal_outputs(ht.strip_masks(model), smaller)
    for layer in ht.masked_layers(model).values():
        kept = np.count_nonzero(layer.mask)
        assert kept < layer.kernel.numpy().size
        assert smaller.get_layer(layer.name).kernel.numpy().size == kept


# --- use of the result ------------------------------------------------------


def test_the_result_can_be_saved_masked_bounded_and_exported(tmp_path):
    model = residual_stage()
    remove(model)
    smaller = ht.shrink(model)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    assert_equal_outputs(smaller, loaded, 1e-7)
    exported = ht.export_saved_model(smaller, tmp_path / "saved_model")
    x = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
    serve = tf.saved_model.load(exported.path).signatures["serving_default"]
    np.testing.assert_allclose(
        serve(images=tf.constant(x))["logits"], smaller(x), atol=1e-5
    )
    assert_equal_outputs(smaller, ht.to_masked(smaller))
    lower, upper = ht.bounds.interval(smaller, x - 0.01, x + 0.01)
    wide_lower, wide_upper = ht.bounds.interval(model, x - 0.01, x + 0.01)
    np.testing.assert_allclose(lower, wide_lower, atol=1e-4)
    np.testing.assert_allclose(upper, wide_upper, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.Model(),
        lambda: ht.RobustModel(residual_stage(), ht.objectives.Natural()),
        lambda: "model.keras",
    ],
)
def test_models_without_a_graph_are_refused(make):
    with pytest.raises(InputError, match="Functional or Sequential") as caught:
        ht.shrink(make())
    assert "\n" not in str(caught.value)


def test_channels_are_rounded_up_to_a_multiple():
    model = random_graphs.set_random_weights(
        keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(20, 3, name="first"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(12, 1, name="second"),
                layers.Flatten(),
                layers.Dense(30, name="dense"),
                layers.Dense(5, name="logits"),
            ]
        )
    )
    masked = ht.to_masked(model, granularity="channel", density=0.3)
    ht.init_scores(masked, "scaled")
    plain = ht.strip_masks(masked)
    free, rounded = ht.shrink(plain), ht.shrink(plain, multiple_of=8)
    found = {name: sizes(each) for name, each in (("f", free), ("r", rounded))}
    # The inputs are pinned; the logits are of no use rounded.
    assert found["r"]["first"][-1] == 8 > found["f"]["first"][-1]
    assert found["r"]["second"][-2:] == (8, 8)
    assert found["r"]["dense"][-1] in (16, 8)
    assert found["r"]["logits"][-1] == 5
    assert_equal_outputs(plain, rounded)
    # Up to all there are, not beyond.
    assert sizes(ht.shrink(plain, multiple_of=64)) == sizes(plain)
    with pytest.raises(InputError, match="`multiple_of`"):
        ht.shrink(plain, multiple_of=0)
