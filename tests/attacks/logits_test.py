"""Tests of how models and other callables are called."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.logits import fingerprint
from hydra_tf.attacks.logits import predictions
from hydra_tf.errors import InputError

X = tf.ones((2, 3))


def test_keras_models_run_in_inference_mode():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.9)])
    np.testing.assert_array_equal(as_logits_function(model)(X), X)
    keras.utils.set_random_seed(0)
    assert np.any(call_model(model, X, training=True) != X)


def test_plain_callables_get_the_images_alone_and_unchanged():
    seen = []

    def model(x):
        seen.append(x)
        return x

    call_model(model, X, training=True)
    assert seen[0] is X


def test_callables_with_an_argument_training_are_told_the_mode():
    modes = []

    def model(x, training=True):
        modes.append(training)
        return x

    as_logits_function(model)(X)
    as_logits_function(tf.function(model))(X)
    assert modes == [False, False]


def test_a_catch_all_does_not_count_as_an_argument():
    assert not accepts_argument(lambda x, **settings: x, "training")
    assert not accepts_argument(print, "training")


def test_logits_are_float32_for_mixed_precision():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_bfloat16")]
    )
    assert model(X).dtype == tf.bfloat16
    assert as_logits_function(model)(X).dtype == tf.float32


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Dense(2, activation="softmax", name="last"),
        keras.layers.Softmax(name="last"),
    ],
)
def test_network_that_ends_in_a_softmax_is_refused(last):
    inner = keras.Sequential([keras.Input((3,)), last])
    model = keras.Sequential([keras.Input((3,)), inner])
    with pytest.raises(InputError, match="softmax, layer 'last'.*logits"):
        check_ends_in_logits(model)


@pytest.mark.parametrize(
    "behind",
    [
        keras.layers.Activation("linear", dtype="float32"),
        keras.layers.Reshape((2,)),
        keras.layers.Dropout(0.5),
    ],
)
def test_softmax_before_layers_that_pass_it_on_is_refused(behind):
    image = keras.Input((3,))
    x = keras.layers.Dense(2, activation="softmax", name="last")(image)
    with pytest.raises(InputError, match="softmax, layer 'last'"):
        check_ends_in_logits(keras.Model(image, behind(x)))
    x = keras.layers.Dense(2)(image)
    check_ends_in_logits(
        keras.Model(image, type(behind).from_config(behind.get_config())(x))
    )


def test_network_that_ends_in_logits_is_accepted():
    check_ends_in_logits(
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    )


def dense():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])


def test_predictions_do_not_depend_on_the_batch():
    images = np.random.default_rng(0).random((9, 3), np.float32)
    model = dense()
    expected = np.argmax(model(images), axis=1)
    for batch_size in (1, 4, 100):
        np.testing.assert_array_equal(
            predictions(model, images, batch_size), expected
        )


def test_fingerprint_tells_weights_or_answers_apart():
    one, other = dense(), dense()
    classes = np.arange(3)
    assert fingerprint(one, classes) != fingerprint(other, classes)
    other.set_weights(one.get_weights())
    assert fingerprint(one, classes) == fingerprint(other, classes + 1)
    assert fingerprint(abs, classes) != fingerprint(abs, classes + 1)
