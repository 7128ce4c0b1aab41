"""Networks that have no bounds, and rules that cannot be meant."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import hydra_tf as ht


def network(build, shape=(4, 6)):
    """Returns a row's function: bounds on a network of one odd layer."""

    def mistake(given):
        inputs = keras.Input(shape)
        outputs = layers.Dense(3)(layers.Flatten()(build(inputs)))
        model = keras.Model(inputs, outputs)
        x = np.zeros((1, *shape), np.float32)
        ht.bounds.certified(model, x, [0], 0.1, method="crown_ibp")

    return mistake


class Odd(layers.Layer):
    """A layer whose rule is wrong."""

    def call(self, inputs):
        return inputs


@ht.bounds.register_rule(Odd)
def _(layer):
    return ht.bounds.Applied(ht.bounds.Product(), [0, 1])


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "bounds_causal_attention": (
        network(
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                x, x, use_causal_mask=True
            )
        ),
        ["no bounds for layer 'odd'", "called with use_causal_mask"],
    ),
    "bounds_attention_of_maps": (
        network(
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(x, x),
            (2, 2, 3),
        ),
        ["'odd' (MultiHeadAttention)", "must be (batch, tokens, channels)"],
    ),
    "bounds_attention_with_scores": (
        network(
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                x, x, return_attention_scores=True
            )[1]
        ),
        ["'odd'", "called with return_attention_scores"],
    ),
    "bounds_activation_that_is_not_known": (
        network(lambda x: layers.Dense(4, activation="glu", name="odd")(x)),
        ["'odd' (Dense)", "activation is 'glu'", "register_rule"],
    ),
    "bounds_activation_of_ones_own": (
        network(lambda x: layers.Dense(4, activation=tf.sin, name="odd")(x)),
        ["'odd' (Dense)", "activation is 'sin'"],
    ),
    "bounds_recurrent_layer": (
        network(lambda x: layers.LSTM(3, name="odd")(x)),
        ["no bounds for layer 'odd' (LSTM)", "register_rule(LSTM)"],
    ),
    "bounds_ends_in_a_softmax": (
        lambda given: ht.bounds.certified(
            given.network(activation="softmax"),
            given.images,
            given.labels,
            0.1,
        ),
        ["ends in a softmax, layer 'last'", "activation=None"],
    ),
    "bounds_layer_normalization_without_epsilon": (
        network(
            lambda x: layers.LayerNormalization(epsilon=0.0, name="odd")(x)
        ),
        ["'odd' (LayerNormalization)", "epsilon is 0.0, not above 0"],
    ),
    "bounds_division_of_values": (
        network(lambda x: x / x),
        ["it divides by no constant"],
    ),
    "bounds_rule_that_reads_too_much": (
        network(lambda x: Odd(name="odd")(x)),
        ["rule of layer 'odd' reads input 1", "it has 1, counted from 0"],
    ),
    "bounds_applied_function": (
        lambda given: ht.bounds.Applied(tf.nn.relu, [0]),
        ["`operation` must be one of hydra_tf.bounds", "Received"],
    ),
    "bounds_applied_to_names": (
        lambda given: ht.bounds.Applied(ht.bounds.Product(), ["x", "y"]),
        ["`inputs` must be numbers of the layer's inputs", "['x', 'y']"],
    ),
    "bounds_inflections_out_of_order": (
        lambda given: ht.bounds.Activation(tf.sin, inflections=(1.0, -1.0)),
        ["`inflections` must be numbers in increasing order", "(1.0, -1.0)"],
    ),
    "bounds_activation_by_name": (
        lambda given: ht.bounds.Activation("tanh"),
        ["`function` must be a callable on tensors", "'tanh'"],
    ),
    "bounds_normalize_by_nothing": (
        lambda given: ht.bounds.Normalize(0.0),
        ["`stabilizer` must be above 0", "Received: 0.0"],
    ),
}
