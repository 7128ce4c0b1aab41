"""Heads and neurons asked of networks that have none to remove."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht

layers = keras.layers


def attention_network(input_shape=(4, 4, 1), num_classes=3, heads=4):
    image = keras.Input(input_shape)
    x = layers.Reshape((-1, 4))(image)
    x = layers.MultiHeadAttention(heads, 2, name="attention")(x, x)
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x))


def single_head(input_shape, num_classes):
    return attention_network(input_shape, num_classes, heads=1)


class Block(layers.Layer):
    """Attention where the graph does not show it."""

    def build(self, input_shape):
        self.attention = layers.MultiHeadAttention(4, 2, name="inside")
        self.attention.build(input_shape, input_shape)

    def call(self, inputs):
        return tf.abs(self.attention(inputs, inputs))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(4, 2)

    def call(self, inputs):
        return tf.abs(self.attention(inputs, inputs))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 3, 4), "float32"))
    return model


def hidden():
    tokens = keras.Input((3, 4))
    return keras.Model(tokens, Block()(tokens))


def by_heads(model, **settings):
    return ht.to_masked(model, granularity="head", **settings)


_OWN = "--dataset=digits --model=tests.mistakes.parts"

# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "parts_heads_without_attention": (
        lambda given: by_heads(given.network()),
        ["no heads", "MultiHeadAttention", "two heads or more"],
    ),
    "parts_heads_of_one": (
        lambda given: by_heads(attention_network(heads=1)),
        ["no heads", "'attention' are all of a single head"],
    ),
    "parts_heads_excluded": (
        lambda given: by_heads(attention_network(), exclude=["attention"]),
        ["no heads", "`granularity='head'`"],
    ),
    "parts_heads_of_a_subclassed_model": (
        lambda given: by_heads(subclassed()),
        ["needs the graph", "layers and keras.ops", "Received: Subclassed"],
    ),
    "parts_heads_that_the_graph_hides": (
        lambda given: by_heads(hidden()),
        ["no heads", "'inside' lie where no rule follows them"],
    ),
    "parts_heads_of_a_model_that_was_never_called": (
        lambda given: ht.shrink(Subclassed()),
        ["built subclassed one", "Received: Subclassed"],
    ),
    "parts_bounds_of_a_block_that_hides_its_layers": (
        lambda given: ht.bounds.check_supported(hidden()),
        ["'block", "(Block)"],
    ),
    "parts_neurons_without_a_pair": (
        lambda given: ht.to_masked(attention_network(), granularity="neuron"),
        ["no neurons", "a Dense or EinsumDense"],
    ),
    "parts_neurons_of_a_layer_alone": (
        lambda given: ht.layers.MaskedDense(3, granularity="neuron").build(
            (None, 2)
        ),
        ["on its own", "hydra_tf.to_masked(model, granularity='neuron')"],
    ),
    "parts_less_than_one_head": (
        lambda given: ht.start_pruning(
            attention_network(), granularity="head", density=0.2
        ),
        ["0.2 of 4 heads of layer 'attention_output'", "0.25"],
    ),
    "parts_misspelt": (
        lambda given: ht.to_masked(attention_network(), granularity="heads"),
        ["`granularity` must be", "Did you mean 'head'"],
    ),
}

# Name: a command line of a binary, and the words of its error.
COMMANDS = {
    "parts_command_heads_without_attention": (
        "pipeline --dataset=digits --model=digits_model --granularity=head",
        ["no heads", "--granularity=head needs", "MultiHeadAttention"],
    ),
    "parts_command_single_head": (
        f"pipeline {_OWN}:single_head --granularity=head",
        ["no heads", "'attention' are all of a single head"],
    ),
    "parts_command_less_than_one_head": (
        f"pipeline {_OWN}:attention_network --granularity=head --density=0.2",
        ["--density would remove", "0.2 of 4 heads", "0.25"],
    ),
}
