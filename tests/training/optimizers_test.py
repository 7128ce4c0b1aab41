"""Tests for hydra_tf.training.optimizers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.training import optimizers
from tests import golden

RULES = {
    "sgd": optimizers.SGD,
    "adam": optimizers.Adam,
    "rmsprop": optimizers.RMSprop,
}
RATE_FACTORS = {"sgd": 1.0, "adam": 0.1, "rmsprop": 0.1}

rules = pytest.mark.parametrize("rule", sorted(RULES))


def make(rule, **kwargs):
    """Returns the optimizer with the settings of the golden run."""
    values = golden.load("schedules")
    kwargs.setdefault("weight_decay", float(values["opt_weight_decay"]))
    kwargs.setdefault("learning_rate", 0.1 * RATE_FACTORS[rule])
    if rule != "adam":
        kwargs.setdefault("momentum", float(values["opt_momentum"]))
    return RULES[rule](**kwargs)


def small_model(dtype=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(5, activation="relu", dtype=dtype),
            keras.layers.Dense(3, dtype=dtype),
        ]
    )


def small_data():
    generator = np.random.default_rng(0)
    return (
        generator.normal(size=(16, 6)).astype("float32"),
        generator.integers(0, 3, 16),
    )


def compiled(model, optimizer, **kwargs):
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **kwargs,
    )
    return model


@rules
@pytest.mark.parametrize("compile_step", [False, True])
def test_every_step_equals_the_original(rule, compile_step):
    values = golden.load("schedules")
    optimizer = make(rule)
    variable = keras.Variable(values["opt_param0"])
    gradient = tf.Variable(values["opt_grads"][0])
    step = lambda: optimizer.apply([gradient], [variable])  # noqa: E731
    if compile_step:
        step = tf.function(step)
    for index, rate in enumerate(values["opt_lrs"]):
        optimizer.learning_rate = float(rate) * RATE_FACTORS[rule]
        gradient.assign(values["opt_grads"][index])
        step()
        np.testing.assert_allclose(
            variable.numpy(),
            values[f"opt_{rule}_params"][index],
            rtol=0,
            atol=1e-6,
        )


def test_sgd_by_hand():
    # g = 1 + 0.5 * 2 = 2; b = 2; p = 2 - 0.1 * 2 = 1.8.
    # g = 0 + 0.5 * 1.8 = 0.9; b = 0.5 * 2 + 0.9 = 1.9; p = 1.8 - 0.38 = 1.42,
    # at twice the rate, which acts on the whole buffer at once.
    optimizer = optimizers.SGD(0.1, momentum=0.5, weight_decay=0.5)
    variable = keras.Variable([2.0])
    optimizer.apply([tf.constant([1.0])], [variable])
    np.testing.assert_allclose(variable.numpy(), [1.8], rtol=1e-6)
    optimizer.learning_rate = 0.2
    optimizer.apply([tf.constant([0.0])], [variable])
    np.testing.assert_allclose(variable.numpy(), [1.42], rtol=1e-6)


def test_nesterov_by_hand():
    # b = 1, step along g + 0.5 * b = 1.5; then b = 1.5, along 1 + 0.75.
    optimizer = optimizers.SGD(0.1, momentum=0.5, nesterov=True)
    variable = keras.Variable([1.0])
    optimizer.apply([tf.constant([1.0])], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.85], rtol=1e-6)
    optimizer.apply([tf.constant([1.0])], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.675], rtol=1e-6)


@rules
def test_survives_serialisation_with_its_schedule(rule):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    optimizer = make(rule, learning_rate=schedule, clipnorm=2.0)
    config = keras.saving.serialize_keras_object(optimizer)
    assert config["registered_name"] == f"hydra_tf>{RULES[rule].__name__}"
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.get_config() == optimizer.get_config()
    assert twin.coupled_weight_decay == optimizer.coupled_weight_decay


@rules
def test_resumes_from_a_keras_file(rule, tmp_path):
    images, labels = small_data()
    model = compiled(small_model(), make(rule), run_eagerly=True)
    model.fit(images, labels, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    twin.run_eagerly = True
    for each in (model, twin):
        each.fit(images, labels, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_resumes_from_a_checkpoint_that_leaves_the_masks_out(tmp_path):
    values = golden.load("schedules")
    mask = keras.Variable(np.arange(7) % 2 == 0, trainable=False, dtype="bool")
    variables, optimizer_list = [], []
    for _ in range(2):
        variables.append(keras.Variable(values["opt_param0"]))
        optimizer_list.append(make("sgd"))
        optimizer_list[-1].set_masks([(variables[-1], mask)])
        optimizer_list[-1].build([variables[-1]])
    first, second = optimizer_list
    first.apply([tf.constant(values["opt_grads"][0])], variables[:1])
    path = tf.train.Checkpoint(optimizer=first).save(tmp_path / "c")
    tf.train.Checkpoint(optimizer=second).restore(path)
    assert len(first.variables) == 3  # iteration, learning rate, momentum
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@rules
def test_slots_exist_for_trained_variables_only(rule):
    model = small_model()
    model.layers[0].trainable = False
    images, labels = small_data()
    optimizer = make(rule)
    compiled(model, optimizer).train_on_batch(images, labels)
    trained = {tuple(v.shape) for v in model.layers[1].weights}
    slots = [tuple(v.shape) for v in optimizer.variables if len(v.shape)]
    assert set(slots) == trained
    assert len(slots) == (2 if rule == "sgd" else 4)


def test_sgd_without_momentum_has_no_slots():
    optimizer = optimizers.SGD(0.5, momentum=0.0)
    variable = keras.Variable([1.0, 2.0])
    optimizer.apply([tf.constant([1.0, 0.0])], [variable])
    np.testing.assert_array_equal(variable.numpy(), [0.5, 2.0])
    assert all(len(v.shape) == 0 for v in optimizer.variables)


@pytest.mark.parametrize("by", ["variable", "name"])
def test_excluded_variables_do_not_decay(by):
    kernel = keras.Variable([1.0], name="kernel")
    bias = keras.Variable([1.0], name="bias")
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    if by == "variable":
        optimizer.exclude_from_weight_decay(var_list=[bias])
    else:
        optimizer.exclude_from_weight_decay(var_names=["beta", "bias"])
    optimizer.apply([tf.zeros(1), tf.zeros(1)], [kernel, bias])
    np.testing.assert_array_equal(kernel.numpy(), [0.75])
    np.testing.assert_array_equal(bias.numpy(), [1.0])
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_list=[kernel])


def test_weight_decay_is_not_applied_a_second_time_by_keras():
    optimizer = optimizers.SGD(1.0, momentum=0.0, weight_decay=0.25)
    variable = keras.Variable([4.0])
    optimizer.apply([tf.zeros(1)], [variable])
    np.testing.assert_array_equal(variable.numpy(), [3.0])


@rules
@pytest.mark.parametrize("kind", ["keras", "tensorflow", "array"])
@pytest.mark.parametrize("compile_step", [False, True])
def test_masked_entries_stay_and_the_others_move_as_ever(
    rule, kind, compile_step
):
    values = golden.load("schedules")
    keep = np.arange(7) % 2 == 0
    mask = {
        "keras": lambda: keras.Variable(keep, trainable=False, dtype="bool"),
        "tensorflow": lambda: tf.Variable(keep, trainable=False),
        "array": lambda: keep.astype("float32"),
    }[kind]()
    optimizer = make(rule)
    variable = keras.Variable(values["opt_param0"])
    optimizer.set_masks([(variable, mask)])
    step = lambda g: optimizer.apply([g], [variable])  # noqa: E731
    if compile_step:
        step = tf.function(step)
    for index, rate in enumerate(values["opt_lrs"]):
        optimizer.learning_rate = float(rate) * RATE_FACTORS[rule]
        step(tf.constant(values["opt_grads"][index]))
        after = variable.numpy()
        np.testing.assert_array_equal(after[~keep], values["opt_param0"][~keep])
        np.testing.assert_allclose(
            after[keep],
            values[f"opt_{rule}_params"][index][keep],
            rtol=0,
            atol=1e-6,
        )


@rules
def test_masks_set_late_stop_the_momentum_too(rule):
    optimizer = make(rule)
    variable = keras.Variable([1.0, -2.0, 3.0])
    gradient = tf.constant([1.0, 1.0, -1.0])
    optimizer.apply([gradient], [variable])
    before = variable.numpy()
    optimizer.set_masks([(variable, np.array([0.0, 1.0, 0.0]))])
    for _ in range(3):
        optimizer.apply([gradient], [variable])
    moved = variable.numpy() != before
    np.testing.assert_array_equal(moved, [False, True, False])


def test_masks_follow_the_value_of_their_variable():
    optimizer = optimizers.SGD(1.0, momentum=0.0)
    variable = keras.Variable([0.0, 0.0])
    mask = tf.Variable([True, False])
    optimizer.set_masks([(variable, mask)])
    step = tf.function(lambda: optimizer.apply([tf.ones(2)], [variable]))
    step()
    mask.assign([False, True])
    step()
    step()
    np.testing.assert_array_equal(variable.numpy(), [-1.0, -2.0])


def test_a_mask_of_another_shape_is_refused():
    variable = keras.Variable(np.zeros((2, 3)), name="kernel")
    with pytest.raises(InputError, match=r"kernel is \(2, 3\).*\(3, 2\)"):
        optimizers.SGD().set_masks([(variable, np.ones((3, 2)))])


def test_a_mask_of_a_frozen_variable_is_ignored():
    frozen, trained = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = optimizers.SGD(1.0, momentum=0.0)
    optimizer.set_masks([(frozen, np.zeros(1)), (trained, np.ones(1))])
    optimizer.apply([tf.ones(1)], [trained])
    np.testing.assert_array_equal(trained.numpy(), [0.0])


@rules
def test_sparse_gradients_are_understood(rule):
    dense, sparse = make(rule), make(rule)
    one = keras.Variable(np.ones((3, 2), "float32"))
    other = keras.Variable(np.ones((3, 2), "float32"))
    slices = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([1]), (3, 2))
    dense.apply([tf.convert_to_tensor(slices)], [one])
    sparse.apply([slices], [other])
    np.testing.assert_array_equal(one.numpy(), other.numpy())


@rules
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights_and_slots(rule, policy):
    images, labels = small_data()
    model = small_model(dtype=policy)
    optimizer = make(rule)
    if policy == "mixed_float16":
        wrapper = keras.optimizers.LossScaleOptimizer(optimizer)
    else:
        wrapper = optimizer
    mask = np.ones((6, 5), bool)
    mask[:, 0] = False
    kernel = model.layers[0].kernel
    optimizer.set_masks([(kernel, mask)])
    compiled(model, wrapper)
    before = kernel.numpy()
    losses = [model.train_on_batch(images, labels) for _ in range(20)]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(kernel.numpy()[:, 0], before[:, 0])
    assert np.any(kernel.numpy()[:, 1:] != before[:, 1:])
    for variable in model.weights + optimizer.variables:
        assert variable.dtype in ("float32", "int64"), variable.path


@rules
def test_two_replicas_update_as_one(rule):
    images, labels = small_data()
    mask = np.ones((6, 5), bool)
    mask[::2] = False
    weights = []
    one_device = tf.distribute.get_strategy()
    for strategy in (
        one_device,
        tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    ):
        with strategy.scope():
            model = small_model()
            optimizer = make(rule)
            variable = keras.Variable(mask, trainable=False, dtype="bool")
            optimizer.set_masks([(model.layers[0].kernel, variable)])
            compiled(model, optimizer, run_eagerly=strategy is one_device)
        before = model.layers[0].kernel.numpy()
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
        model.fit(data, epochs=3, verbose=0)
        after = model.layers[0].kernel.numpy()
        np.testing.assert_array_equal(after[::2], before[::2])
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "rule, argument, value, words",
    [
        ("sgd", "weight_decay", -0.1, "a number >= 0"),
        ("sgd", "momentum", 1.0, r"a number in \[0, 1\)"),
        ("adam", "beta_2", float("nan"), r"a number in \[0, 1\)"),
        ("rmsprop", "stabilizer", 0.0, "a number > 0"),
    ],
)
def test_a_setting_out_of_range_is_named(rule, argument, value, words):
    with pytest.raises(InputError, match=f"`{argument}` must be {words}"):
        RULES[rule](**{argument: value})
