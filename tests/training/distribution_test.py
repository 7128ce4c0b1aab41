"""Two replicas train like one device on the same global batch."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError

EPSILON = 0.1
RNG = np.random.default_rng(0)
X = RNG.random((8, 6, 6, 1), dtype=np.float32)
Y = RNG.integers(0, 3, 8)


class _OwnCollectives(tf.distribute.MirroredStrategy):
    """Its collective operations do not clash with another test file's.

    TensorFlow numbers those of every strategy in a process from the same key.
    """

    _collective_key_base = 10_000


@functools.cache
def two_replicas():
    # The two logical devices of tests/conftest.py; once, for the same reason.
    return _OwnCollectives(["CPU:0", "CPU:1"])


def one_device():
    return tf.distribute.get_strategy()


def make_robust(
    strategy,
    phase,
    objective,
    *,
    normalize=False,
    policy=None,
    options=None,
    **kwargs,
):
    """Returns a compiled model of the strategy, the same weights each time."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        common = {"dtype": policy}
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Conv2D(3, 3, 2, name="conv", **common)(inputs)
        if normalize:
            x = keras.layers.BatchNormalization(name="bn", **common)(x)
        x = keras.layers.Flatten()(keras.layers.ReLU(**common)(x))
        outputs = keras.layers.Dense(3, name="dense", **common)(x)
        network = keras.Model(inputs, outputs)
        if phase != "plain":
            network = ht.to_masked(network)
            ht.set_density(network, 0.4)
            ht.set_phase(network, phase)
        robust = ht.RobustModel(network, objective, seed=3, **(options or {}))
        optimizer = ht.training.SGD(0.05, momentum=0.9, weight_decay=0.01)
        robust.compile(optimizer, metrics=["accuracy"], **kwargs)
    return robust


def train_and_evaluate(robust, num_images=8):
    x, y = X[:num_images], Y[:num_images]
    history = robust.fit(
        x, y, batch_size=4, epochs=2, shuffle=False, verbose=0
    ).history
    values = robust.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    return {name: history[name][-1] for name in history}, values


def weights_of(robust):
    """All but the stored masks, which follow from scores and density."""
    weights = robust.network.weights
    return {w.path: np.asarray(w) for w in weights if w.dtype != "bool"}


def assert_same_training(robust, other, num_images=8):
    """Trains both; weights, logs and evaluation agree."""
    before = weights_of(robust)
    one = train_and_evaluate(robust, num_images)
    two = train_and_evaluate(other, num_images)
    # Means over images in another order are all that differs: a few units of
    # the last place of weights of size 1. An attack's sign step can turn such
    # a unit into a whole step, if an input gradient is that close to zero;
    # in these few steps with a fixed seed none is.
    after, after_other = weights_of(robust), weights_of(other)
    for path, value in after.items():
        np.testing.assert_allclose(value, after_other[path], rtol=0, atol=1e-6)
    assert any(np.any(after[path] != before[path]) for path in after)
    for logs, other_logs in zip(one, two, strict=True):
        assert set(logs) == set(other_logs)
        for name in logs:
            np.testing.assert_allclose(
                logs[name], other_logs[name], rtol=1e-5, atol=1e-6
            )


def madry(**kwargs):  # Random starts.
    return ht.objectives.Madry(epsilon=EPSILON, num_steps=2, **kwargs)


def trades(**kwargs):
    return ht.objectives.TRADES(epsilon=EPSILON, num_steps=2, **kwargs)


@pytest.mark.parametrize(
    ("phase", "objective"),
    [
        pytest.param("pretrain", trades, marks=pytest.mark.slow),
        ("prune", trades),
        pytest.param("finetune", trades, marks=pytest.mark.slow),
        pytest.param("prune", madry, marks=pytest.mark.slow),
        pytest.param("pretrain", madry, marks=pytest.mark.slow),
        pytest.param("finetune", madry, marks=pytest.mark.slow),
    ],
)
def test_two_replicas_train_like_one_device(phase, objective):
    assert_same_training(
        make_robust(one_device(), phase, objective()),
        make_robust(two_replicas(), phase, objective()),
    )


@pytest.mark.slow
@pytest.mark.parametrize("num_images", [7, 5])
def test_replicas_start_attacks_where_one_device_would(num_images):
    objective = ht.objectives.FGSM(epsilon=EPSILON)
    models = [
        make_robust(strategy, "plain", objective, options={"warm_start": 4})
        for strategy in (one_device(), two_replicas())
    ]
    assert_same_training(*models, num_images)
    one, two = (np.asarray(m.warm_start_state.perturbations) for m in models)
    assert np.any(one)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_soft_labels_weights_and_any_optimizer_are_shared_out():
    # Of the last batch, of one image, one replica has nothing.
    soft = 0.8 * np.eye(3, dtype=np.float32)[Y[:5]] + 0.2 / 3
    weights = np.linspace(0.5, 2, 5)
    found = []
    for strategy in (one_device(), two_replicas()):
        robust = make_robust(strategy, "finetune", trades())
        pruned = {
            name: layer.mask.numpy() == 0
            for name, layer in ht.masked_layers(robust.network).items()
        }
        before = weights_of(robust)
        with strategy.scope():
            robust.compile(keras.optimizers.AdamW(0.01, use_ema=True))
        history = robust.fit(
            X[:5],
            soft,
            sample_weight=weights,
            batch_size=4,
            shuffle=False,
            verbose=0,
        ).history
        after = weights_of(robust)
        for name, where in pruned.items():
            kernel = after[f"{name}/kernel"]
            np.testing.assert_array_equal(
                kernel[where], before[f"{name}/kernel"][where]
            )
            assert np.any(kernel != before[f"{name}/kernel"])
        found.append((history, after))
    (one, one_after), (two, two_after) = found
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], rtol=1e-5)
    for path, value in one_after.items():
        np.testing.assert_allclose(value, two_after[path], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_replicas_train_like_one_device_in_l2():
    objective = madry(threat_model="l2")
    assert_same_training(
        make_robust(one_device(), "plain", objective),
        make_robust(two_replicas(), "plain", objective),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "phase", ["prune", pytest.param("finetune", marks=pytest.mark.slow)]
)
def test_two_replicas_bound_like_one_device(phase):
    # Both epochs have a part of CROWN's margins.
    epsilon = ht.schedules.LinearRamp(0, 3, first=0.0, last=EPSILON)
    objective = ht.objectives.CROWNIBP(epsilon=epsilon)
    assert_same_training(
        make_robust(one_device(), phase, objective),
        make_robust(two_replicas(), phase, objective),
    )


@pytest.mark.slow
def test_uneven_batches_of_bounds_count_every_image_alike():
    assert_same_training(
        make_robust(one_device(), "plain", ht.objectives.IBP(epsilon=EPSILON)),
        make_robust(
            two_replicas(), "plain", ht.objectives.IBP(epsilon=EPSILON)
        ),
        num_images=5,
    )


def mixtrain():
    return ht.objectives.MixTrain(
        epsilon=EPSILON, symbolic_weight=0.5, probability=0.5, num_examples=3
    )


# Last batches of 3 images, of which one replica gets 2, and of 1 image, of
# which one gets none; noise and draws follow the row in the whole batch.
@pytest.mark.parametrize(
    ("objective", "phase", "num_images"),
    [
        pytest.param(mixtrain, "prune", 7, marks=pytest.mark.slow),
        pytest.param(mixtrain, "plain", 8, marks=pytest.mark.slow),
        pytest.param(mixtrain, "finetune", 5, marks=pytest.mark.slow),
        pytest.param(madry, "plain", 5, marks=pytest.mark.slow),
        pytest.param(trades, "plain", 7, marks=pytest.mark.slow),
        pytest.param(
            ht.objectives.RandomizedSmoothing,
            "plain",
            7,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_replicas_draw_what_one_device_would(objective, phase, num_images):
    assert_same_training(
        make_robust(one_device(), phase, objective()),
        make_robust(two_replicas(), phase, objective()),
        num_images,
    )


@pytest.mark.slow
def test_replicas_average_and_perturb_weights_alike():
    options = {
        "weight_averaging": 0.5,
        "perturbation": ht.training.Perturbation(weights=0.1),
    }
    assert_same_training(
        *(
            make_robust(
                strategy, "finetune", ht.objectives.Natural(), options=options
            )
            for strategy in (two_replicas(), one_device())
        )
    )


def test_running_statistics_are_the_mean_over_replicas_with_images():
    robust = make_robust(
        two_replicas(), "plain", ht.objectives.Natural(), normalize=True
    )
    robust.optimizer.learning_rate = 0.0
    normalization = robust.network.get_layer("bn")
    convolution = robust.network.get_layer("conv")
    # Two batches: of 4 images, and of 1, which leaves a replica without any.
    expected = np.asarray(normalization.moving_mean)
    for parts in ([X[:2], X[2:4]], [X[4:5]]):
        means = [np.mean(convolution(part), axis=(0, 1, 2)) for part in parts]
        momentum = normalization.momentum
        expected = momentum * expected + (1 - momentum) * np.mean(means, axis=0)
    history = robust.fit(
        X[:5], Y[:5], batch_size=4, shuffle=False, verbose=0
    ).history
    assert np.all(np.isfinite([history[name] for name in history]))
    for part in parts_of(normalization.moving_mean):
        np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-7)
    for weight in weights_of(robust).values():
        assert np.all(np.isfinite(weight))


def parts_of(variable):
    """Returns the values that the replicas hold."""
    return [np.asarray(part) for part in variable.value.values]


@pytest.mark.slow
def test_batch_norm_trains_and_replicas_agree():
    robust = make_robust(two_replicas(), "finetune", trades(), normalize=True)
    layers = ht.masked_layers(robust.network)
    kernels = {name: layer.kernel.numpy() for name, layer in layers.items()}
    normalization = robust.network.get_layer("bn")
    mean_before = np.asarray(normalization.moving_mean)
    logs, values = train_and_evaluate(robust)
    assert np.all(np.isfinite([*logs.values(), *values.values()]))
    assert np.any(np.asarray(normalization.moving_mean) != mean_before)
    for weight in robust.network.weights:
        first, second = parts_of(weight)
        np.testing.assert_array_equal(first, second)
        assert np.all(np.isfinite(first))
    for name, layer in layers.items():
        pruned = np.asarray(layer.stored_mask) == 0
        assert pruned.sum() == layer.kernel.numpy().size - np.ceil(
            0.4 * layer.kernel.numpy().size
        )
        np.testing.assert_array_equal(
            layer.kernel.numpy()[pruned], kernels[name][pruned]
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_mixed_precision_trains_on_two_replicas(policy):
    robust = make_robust(
        two_replicas(), "prune", trades(), normalize=True, policy=policy
    )
    before = np.asarray(robust.network.get_layer("dense").scores)
    logs, _ = train_and_evaluate(robust)
    scores = robust.network.get_layer("dense").scores
    assert scores.dtype == "float32"
    assert np.all(np.isfinite([*logs.values()]))
    assert np.any(np.asarray(scores) != before)
    for part in parts_of(scores):
        np.testing.assert_array_equal(part, np.asarray(scores))


def test_several_steps_per_execution_on_replicas_are_a_clear_error():
    with pytest.raises(InputError, match="`steps_per_execution` must be 1"):
        make_robust(two_replicas(), "plain", trades(), steps_per_execution=2)


@pytest.mark.slow
def test_what_a_strategy_saved_goes_on_without_one(tmp_path):
    distributed = make_robust(two_replicas(), "finetune", trades())
    train_and_evaluate(distributed)
    distributed.save(tmp_path / "robust.keras")
    loaded = keras.models.load_model(tmp_path / "robust.keras")
    expected = weights_of(distributed)
    for path, value in weights_of(loaded).items():
        np.testing.assert_array_equal(value, expected[path])
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0),
        distributed.predict(X, batch_size=4, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )
    assert_same_training(distributed, loaded)


@pytest.mark.slow
def test_validation_between_epochs_counts_every_image_on_two_replicas():
    images = np.random.default_rng(0).random((70, 4, 4, 1), np.float32)
    whole = ht.data.from_arrays(
        images, np.arange(70) % 3, batch_size=16, drop_remainder=True
    )
    train, validation = ht.data.split_validation(whole, 0.3)
    logs = []
    network = ht.training.run_phase(
        keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        ),
        "pretrain",
        train,
        ht.objectives.FGSM(epsilon=0.1),
        epochs=1,
        validation=validation,
        strategy=two_replicas(),
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, each: logs.append(each)
            )
        ],
    )
    # 16 and 5 of them.
    images, labels = validation.arrays()
    right = np.argmax(network.predict(images, verbose=0), -1) == labels
    assert len(right) == 21
    assert logs[0]["val_natural_accuracy"] == pytest.approx(right.mean())
