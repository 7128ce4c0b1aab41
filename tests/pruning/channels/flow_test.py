"""Tests of the units of networks: what must live or die together."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.flow import channel_flow


def flow_of(build, shape=(8, 8, 3), **kwargs):
    inputs = keras.Input(shape)
    return channel_flow(keras.Model(inputs, build(inputs)), **kwargs)


def by_name(flow):
    return {each.name: each for each in flow.layers}


def is_free(flow, units):
    """Whether none of some units is pinned."""
    return not flow.pinned & set(units.tolist())


def is_pinned(flow, units):
    return flow.pinned >= set(units.tolist())


def conv(filters, name, size=3, **kwargs):
    return layers.Conv2D(filters, size, padding="same", name=name, **kwargs)


def head(x):
    return layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D()(x))


def test_inputs_and_outputs_of_the_model_are_pinned_the_rest_is_free():
    flow = flow_of(lambda x: head(conv(5, "b")(conv(4, "a")(x))))
    a, b, logits = flow.layers
    assert [each.name for each in flow.layers] == ["a", "b", "logits"]
    assert is_pinned(flow, a.inputs) and len(a.inputs) == 3
    assert is_pinned(flow, logits.outputs) and len(logits.outputs) == 10
    np.testing.assert_array_equal(a.outputs, b.inputs)
    np.testing.assert_array_equal(b.outputs, logits.inputs)
    assert is_free(flow, a.outputs) and is_free(flow, b.outputs)
    assert len(flow.pinned) == 13
    # Numbered in graph order, each channel a unit.
    everything = [a.inputs, a.outputs, b.outputs, logits.outputs]
    np.testing.assert_array_equal(np.concatenate(everything), np.arange(22))


PASSING = [
    layers.BatchNormalization(),
    layers.ReLU(),
    layers.LeakyReLU(),
    layers.PReLU(),
    layers.PReLU(shared_axes=[1, 2]),
    layers.ELU(),
    layers.Activation("gelu"),
    layers.Dropout(0.5),
    layers.SpatialDropout2D(0.5),
    layers.GaussianNoise(0.1),
    layers.Identity(),
    layers.Rescaling(2.0, 0.5),
    layers.MaxPooling2D(),
    layers.AveragePooling2D(2),
    layers.ZeroPadding2D(1),
    layers.Cropping2D(1),
    layers.UpSampling2D(),
    layers.Permute((2, 1, 3)),
    ops.relu,
    ops.sigmoid,
    lambda x: 2.0 * x,
    lambda x: x + x,
    lambda x: ops.mean(x, axis=1, keepdims=True),
]


@pytest.mark.parametrize("layer", PASSING)
def test_channels_pass_through(layer):
    flow = flow_of(lambda x: head(conv(5, "b")(layer(conv(4, "a")(x)))))
    a, b, _ = flow.layers
    np.testing.assert_array_equal(a.outputs, b.inputs)
    assert is_free(flow, a.outputs)


class Mixing(layers.Layer):
    def call(self, inputs):
        return inputs[..., ::-1]


class MixingReLU(layers.ReLU):
    def call(self, inputs):
        return super().call(inputs[..., ::-1])


PINNING = [
    layers.Softmax(),
    layers.LayerNormalization(),
    layers.GroupNormalization(2),
    layers.UnitNormalization(),
    layers.BatchNormalization(axis=1),
    layers.Activation("softmax"),
    layers.Activation(lambda x: x[..., ::-1]),
    layers.SeparableConv2D(4, 3, padding="same"),
    layers.Conv2D(4, 3, groups=2),
    layers.Conv2D(8, 3, padding="same", data_format="channels_first"),
    layers.Rescaling([1.0, 2.0, 3.0, 4.0]),
    layers.Dropout(0.5, noise_shape=(1, 1, 1, 4)),
    layers.Permute((3, 2, 1)),
    layers.TimeDistributed(layers.Dense(3)),
    Mixing(),
    MixingReLU(),
    lambda x: ops.softmax(x),
    lambda x: ops.flip(x, axis=-1),
    lambda x: x[..., :2],
    lambda x: ops.mean(x, axis=-1, keepdims=True),
    lambda x: ops.max(x, axis=(1, 2), keepdims=True, initial=0.25),
    lambda x: x * np.ones(4, "float32"),
]


@pytest.mark.parametrize("layer", PINNING)
def test_what_is_not_known_to_keep_channels_apart_pins_them(layer):
    flow = flow_of(lambda x: head(conv(5, "b")(layer(conv(4, "a")(x)))))
    known = by_name(flow)
    assert is_pinned(flow, known["a"].outputs)
    assert is_pinned(flow, known["b"].inputs)
    assert is_free(flow, known["b"].outputs)


def test_kernels_of_grouped_convolutions_are_listed_and_pinned():
    flow = flow_of(lambda x: head(conv(6, "b", groups=2)(conv(4, "a")(x))))
    grouped = by_name(flow)["b"]
    assert (len(grouped.inputs), len(grouped.outputs)) == (2, 6)
    assert is_pinned(flow, grouped.inputs)
    assert is_pinned(flow, grouped.outputs)


def test_an_activation_that_mixes_pins_the_outputs_of_its_layer():
    flow = flow_of(
        lambda x: head(
            conv(5, "b")(conv(4, "a", activation="softmax")(conv(6, "s")(x)))
        )
    )
    known = by_name(flow)
    assert is_pinned(flow, known["a"].outputs)
    assert is_free(flow, known["a"].inputs)


def residual(x, units, name):
    y = layers.BatchNormalization()(conv(units, f"{name}_1")(x))
    y = conv(units, f"{name}_2")(layers.ReLU()(y))
    if x.shape[-1] != units:
        x = conv(units, f"{name}_shortcut", 1)(x)
    return layers.ReLU()(layers.Add()([y, x]))


def test_a_resnet_stage_has_one_set_of_channels_between_its_blocks():
    flow = flow_of(
        lambda x: head(residual(residual(conv(4, "stem")(x), 6, "a"), 6, "b"))
    )
    known = by_name(flow)
    stage = known["a_2"].outputs
    for units in (
        known["a_shortcut"].outputs,
        known["b_1"].inputs,
        known["b_2"].outputs,
        known["logits"].inputs,
    ):
        np.testing.assert_array_equal(units, stage)
    inner = {*known["a_1"].outputs.tolist(), *known["b_1"].outputs.tolist()}
    assert len(inner) == 12 and not inner & set(stage.tolist())
    np.testing.assert_array_equal(known["a_1"].inputs, known["stem"].outputs)
    assert len(flow.pinned) == 3 + 10


@pytest.mark.parametrize(
    "merge",
    [
        layers.Add(),
        layers.Subtract(),
        layers.Multiply(),
        layers.Average(),
        layers.Maximum(),
        layers.Minimum(),
        layers.Concatenate(axis=1),
        lambda xs: ops.maximum(*xs),
        lambda xs: ops.concatenate(xs, axis=2),
    ],
)
def test_layers_of_several_inputs_tie_their_channels(merge):
    flow = flow_of(lambda x: head(merge([conv(4, "a")(x), conv(4, "b")(x)])))
    known = by_name(flow)
    np.testing.assert_array_equal(known["a"].outputs, known["b"].outputs)
    np.testing.assert_array_equal(known["a"].outputs, known["logits"].inputs)
    assert is_free(flow, known["a"].outputs)


@pytest.mark.parametrize(
    "merge", [layers.Concatenate(), lambda xs: ops.concatenate(xs, axis=-1)]
)
def test_concatenated_channels_are_strung_together(merge):
    flow = flow_of(lambda x: head(merge([conv(4, "a")(x), x, conv(2, "b")(x)])))
    known = by_name(flow)
    np.testing.assert_array_equal(
        known["logits"].inputs,
        np.concatenate(
            [known["a"].outputs, known["a"].inputs, known["b"].outputs]
        ),
    )
    assert is_pinned(flow, known["a"].inputs)
    assert is_free(flow, known["b"].outputs)


def test_squeeze_and_excitation_ties_gates_to_their_channels():
    def build(x):
        x = conv(4, "a")(x)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = conv(2, "squeeze", 1, activation="relu")(gate)
        gate = conv(4, "excite", 1, activation="sigmoid")(gate)
        return head(layers.Multiply()([x, gate]))

    flow = flow_of(build)
    known = by_name(flow)
    a = known["a"].outputs
    np.testing.assert_array_equal(known["squeeze"].inputs, a)
    np.testing.assert_array_equal(known["excite"].outputs, a)
    assert is_free(flow, a) and is_free(flow, known["squeeze"].outputs)


def test_a_single_channel_that_meets_many_is_pinned_they_are_not():
    def build(x):
        x = conv(4, "a")(x)
        return head(layers.Multiply()([conv(1, "attention")(x), x]))

    flow = flow_of(build)
    known = by_name(flow)
    assert is_pinned(flow, known["attention"].outputs)
    assert is_free(flow, known["a"].outputs)


@pytest.mark.parametrize(
    "flatten",
    [
        layers.Flatten(),
        layers.Reshape((-1,)),
        lambda x: ops.reshape(x, (-1, 8 * 8 * 4)),
    ],
)
def test_flattening_repeats_channels_the_channel_fastest(flatten):
    flow = flow_of(
        lambda x: layers.Dense(10, name="logits")(flatten(conv(4, "a")(x)))
    )
    known = by_name(flow)
    np.testing.assert_array_equal(
        known["logits"].inputs, np.tile(known["a"].outputs, 64)
    )
    assert is_free(flow, known["a"].outputs)


def test_reshaping_features_to_maps_ties_the_positions_of_a_channel():
    flow = flow_of(
        lambda x: head(
            layers.Reshape((2, 2, 3))(layers.Dense(12, name="features")(x))
        ),
        shape=(5,),
    )
    known = by_name(flow)
    np.testing.assert_array_equal(
        known["features"].outputs, np.tile(known["logits"].inputs, 4)
    )
    assert len(set(known["logits"].inputs.tolist())) == 3


def test_depthwise_convolutions_pass_channels_on_times_their_multiplier():
    def build(x):
        x = conv(4, "a")(x)
        x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
        return head(conv(5, "pointwise", 1)(x))

    flow = flow_of(build)
    known = by_name(flow)
    a = known["a"].outputs
    np.testing.assert_array_equal(known["depthwise"].inputs, a)
    np.testing.assert_array_equal(known["depthwise"].outputs, np.repeat(a, 2))
    np.testing.assert_array_equal(known["pointwise"].inputs, np.repeat(a, 2))
    assert is_free(flow, a)


def test_transposed_and_one_dimensional_convolutions_begin_channels():
    def build(x):
        x = layers.Conv2DTranspose(5, 2, name="up")(conv(4, "a")(x))
        x = layers.Reshape((-1, 5))(x)
        x = layers.Conv1D(6, 3, name="conv1d")(x)
        x = layers.Dense(7, name="everywhere")(x)
        return layers.Dense(10)(layers.GlobalMaxPooling1D()(x))

    flow = flow_of(build)
    up, conv1d, everywhere, last = flow.layers[1:]
    np.testing.assert_array_equal(up.inputs, flow.layers[0].outputs)
    np.testing.assert_array_equal(conv1d.inputs, up.outputs)
    np.testing.assert_array_equal(everywhere.inputs, conv1d.outputs)
    np.testing.assert_array_equal(last.inputs, everywhere.outputs)
    assert len(flow.pinned) == 3 + 10


def test_calls_of_a_shared_layer_share_their_channels():
    def build(x):
        twice = conv(4, "twice")
        return head(twice(layers.ReLU()(twice(conv(4, "a")(x)))))

    flow = flow_of(build)
    assert [each.name for each in flow.layers] == ["a", "twice", "logits"]
    known = by_name(flow)
    np.testing.assert_array_equal(known["twice"].inputs, known["a"].outputs)
    np.testing.assert_array_equal(known["twice"].outputs, known["a"].outputs)
    np.testing.assert_array_equal(known["logits"].inputs, known["a"].outputs)


def test_a_shared_normalisation_ties_channels_a_shared_relu_does_not():
    def build(shared):
        return lambda x: head(shared(conv(4, "b")(shared(conv(4, "a")(x)))))

    tied = by_name(flow_of(build(layers.BatchNormalization())))
    np.testing.assert_array_equal(tied["a"].outputs, tied["b"].outputs)
    apart = by_name(flow_of(build(layers.ReLU())))
    assert not set(apart["a"].outputs) & set(apart["b"].outputs)


def test_nested_models_are_looked_into():
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), conv(5, "conv"), layers.ReLU()], name="inner"
    )
    flow = flow_of(lambda x: head(inner(conv(4, "a")(x))))
    a, inside, logits = flow.layers
    assert inside.name == "inner/conv"
    np.testing.assert_array_equal(a.outputs, inside.inputs)
    np.testing.assert_array_equal(inside.outputs, logits.inputs)
    assert is_free(flow, a.outputs) and is_free(flow, inside.outputs)


@pytest.mark.parametrize("name", ["b", "depthwise"])
def test_what_layers_that_are_not_pruned_read_and_make_is_pinned(name):
    def build(x):
        x = conv(4, "a")(x)
        x = layers.DepthwiseConv2D(3, name="depthwise")(conv(5, "b")(x))
        return head(conv(6, "c")(x))

    flow = flow_of(build, is_prunable=lambda layer: layer.name != name)
    known = by_name(flow)
    assert is_pinned(flow, known[name].inputs)
    assert is_pinned(flow, known[name].outputs)
    assert is_free(flow, known["c"].outputs)
    assert is_free(flow, known["a"].outputs) == (name == "depthwise")


def test_a_layer_called_in_a_way_not_understood_stays_as_it_is():
    shared = layers.BatchNormalization()

    def build(x):
        x = shared(conv(4, "a")(x))
        return head(shared(ops.flip(conv(4, "b")(x), axis=-1)))

    known = by_name(flow := flow_of(build))
    assert is_pinned(flow, known["a"].outputs)
    assert is_pinned(flow, known["b"].outputs)


def test_a_masked_model_has_the_channels_of_the_plain_one():
    inputs = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3)(residual(inputs, 4, "a"))
    plain = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    flows = [channel_flow(model) for model in (plain, ht.to_masked(plain))]
    assert flows[0].pinned == flows[1].pinned
    for one, other in zip(flows[0].layers, flows[1].layers, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.outputs, other.outputs)


def test_resnet18_has_the_groups_of_its_blocks():
    flow = channel_flow(ht.models.create("resnet18", (8, 8, 3), 10))
    known = by_name(flow)
    for block in range(1, 5):
        stage = known[f"block{block}_unit1_conv2"].outputs
        np.testing.assert_array_equal(
            stage, known[f"block{block}_unit2_conv1"].inputs
        )
        np.testing.assert_array_equal(
            stage, known[f"block{block}_unit2_conv2"].outputs
        )
        if block > 1:
            np.testing.assert_array_equal(
                stage, known[f"block{block}_unit1_shortcut"].outputs
            )
    units = {*np.concatenate([each.outputs for each in flow.layers]).tolist()}
    # Of each block: its inner convolutions', and those between the blocks.
    assert len(units - flow.pinned) == 3 * (64 + 128 + 256 + 512)


def test_models_without_a_graph_are_refused():
    with pytest.raises(InputError, match="Functional or Sequential"):
        channel_flow(keras.Model())
