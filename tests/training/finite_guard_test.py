"""Training stops at a loss or weight that is no finite number."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.errors import DivergedError
from hydra_tf.errors import InputError
from hydra_tf.ops.masks import NAN_SCORES
from hydra_tf.training.finite_guard import FiniteGuard


def invalid_argument(message):
    return tf.errors.InvalidArgumentError(None, None, message)


def guard():
    """Returns a guard of one weight, and the weight."""
    weight = keras.Variable([1.0, 2.0], name="kernel")
    callback = FiniteGuard("prune", [weight])
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback.set_model(model)
    callback.on_epoch_begin(4)
    return callback, weight


def test_loss_that_is_not_finite_stops_with_place_and_advice():
    callback, _ = guard()
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(
        DivergedError,
        match="prune phase, epoch 5, step 3: the loss is nan.*learning_rate",
    ):
        callback.on_train_batch_end(2, {"loss": float("nan")})


def test_weight_that_is_not_finite_stops_at_the_epoch_s_end():
    callback, weight = guard()
    callback.on_epoch_end(4, {})
    weight.assign([1.0, np.inf])
    with pytest.raises(DivergedError, match="kernel is not finite"):
        callback.on_epoch_end(4, {})


@pytest.mark.parametrize("error", [InputError, invalid_argument])
def test_scores_that_are_nan_stop_within_a_step(error):
    callback, _ = guard()
    with pytest.raises(
        DivergedError, match="epoch 5.*scores or weights are NaN.*rate"
    ):
        with callback.watching():
            raise error(f"Graph execution error: {NAN_SCORES}")
    with pytest.raises(type(error("another"))), callback.watching():
        raise error("another")
