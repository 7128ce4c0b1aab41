"""What Keras offers beside `fit` works with masked networks under attack.

A row each: optimisers, callbacks, ways to run a step, files, copies, policies.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.keras_version import needs_new_keras

RNG = np.random.default_rng(0)
X = RNG.random((8, 5), np.float32)
Y = np.arange(8) % 3
LAYERS = ("first", "last")


def make_network(dtype=None, last_dtype=None):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((5,)),
            dense(6, activation="relu", name="first", dtype=dtype),
            dense(3, name="last", dtype=last_dtype or dtype),
        ]
    )


def make_robust(optimizer=None, phase="finetune", network=None, **kwargs):
    network = make_network() if network is None else network
    network = ht.start_pruning(network, density=0.4)
    ht.set_phase(network, phase)
    robust = ht.RobustModel(network, ht.objectives.FGSM(epsilon=0.1))
    robust.compile(optimizer or keras.optimizers.SGD(0.1), **kwargs)
    return robust


def fit(robust, epochs=1, **kwargs):
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0} | kwargs
    return robust.fit(X, Y, epochs=epochs, **settings).history


def weights_of(robust):
    """All but the stored masks, which follow from scores and density."""
    return [
        np.asarray(each)
        for each in robust.network.weights
        if each.dtype != "bool"
    ]


def assert_equal(one, other, **tolerance):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0} | tolerance))


def kernels_of(robust):
    layers = [robust.network.get_layer(name) for name in LAYERS]
    return [(layer.kernel.numpy(), layer.mask.numpy() > 0) for layer in layers]


# --- optimisers -------------------------------------------------------------

_DECAY = {"weight_decay": 0.1}
OPTIMIZERS = {
    "Adadelta": lambda o: o.Adadelta(1.0, **_DECAY),
    "Adafactor": lambda o: o.Adafactor(0.1, **_DECAY),
    "Adagrad": lambda o: o.Adagrad(0.1, **_DECAY),
    "Adam": lambda o: o.Adam(0.1, use_ema=True, ema_overwrite_frequency=2),
    "AdamW": lambda o: o.AdamW(0.1, **_DECAY),
    "Adamax": lambda o: o.Adamax(0.1, **_DECAY),
    "Ftrl": lambda o: o.Ftrl(0.1, l1_regularization_strength=0.01),
    "Lamb": lambda o: o.Lamb(0.1, **_DECAY),
    "Lion": lambda o: o.Lion(0.1, **_DECAY),
    "LossScaleOptimizer": lambda o: o.LossScaleOptimizer(o.AdamW(0.1)),
    "MultiOptimizer": lambda o: o.MultiOptimizer(
        o.OptimizerMap(o.AdamW(0.1), {"last/.*": o.SGD(0.1, 0.9)})
    ),
    "Muon": lambda o: o.Muon(0.1, **_DECAY),
    "Nadam": lambda o: o.Nadam(0.1, **_DECAY),
    "RMSprop": lambda o: o.RMSprop(0.1, momentum=0.9, **_DECAY),
    "SGD": lambda o: o.SGD(0.1, 0.9, **_DECAY),
    "ScheduleFreeAdamW": lambda o: o.ScheduleFreeAdamW(0.1, **_DECAY),
    "hydra_tf.SGD": lambda o: ht.training.SGD(0.1, 0.9, **_DECAY),
}
NEW_OPTIMIZERS = ("MultiOptimizer", "Muon", "ScheduleFreeAdamW")


def test_every_optimizer_of_keras_has_a_row():
    optimizers = {
        name
        for name, each in vars(keras.optimizers).items()
        if isinstance(each, type) and issubclass(each, keras.Optimizer)
    }
    assert optimizers - {"Optimizer"} <= set(OPTIMIZERS)


@pytest.fixture(scope="module")
def shared():
    return make_robust()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[needs_new_keras] * (name in NEW_OPTIMIZERS))
        for name in OPTIMIZERS
    ],
)
def test_optimizer_trains_kept_weights_alone(name, shared, without_tracing):
    shared.compile(OPTIMIZERS[name](keras.optimizers))
    before = kernels_of(shared)
    for _ in range(2):
        shared.train_on_batch(X, Y)
    for (old, kept), (new, _) in zip(before, kernels_of(shared), strict=True):
        np.testing.assert_array_equal(new[~kept], old[~kept])
        assert np.any(new[kept] != old[kept])
        assert np.all(np.isfinite(new))


# --- callbacks --------------------------------------------------------------


def early_stopping(folder):
    robust = make_robust()
    stop = keras.callbacks.EarlyStopping(
        "loss", min_delta=9, restore_best_weights=True
    )
    history = fit(robust, epochs=4, callbacks=[stop])
    assert len(history["loss"]) == 2
    first = make_robust()
    fit(first)
    assert_equal(robust, first)


def learning_rates(folder):
    robust = make_robust(keras.optimizers.AdamW(0.1))
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    reduce = keras.callbacks.ReduceLROnPlateau(
        "robust_ce", patience=1, min_delta=9, mode="min", factor=0.1
    )
    history = fit(robust, epochs=2, callbacks=[rates, reduce])
    assert history["learning_rate"] == pytest.approx([0.05, 0.025])
    assert float(robust.optimizer.learning_rate) == pytest.approx(0.0025)


def model_checkpoint(folder):
    robust = make_robust(keras.optimizers.Adam(0.1))
    fit(
        robust,
        callbacks=[
            keras.callbacks.ModelCheckpoint(
                folder / name, "loss", save_best_only=True, mode="min",
                save_weights_only="weights" in name,
            )
            for name in ("best.keras", "best.weights.h5")
        ],
    )  # fmt: skip
    fresh = make_robust(keras.optimizers.Adam(0.1))
    fresh.optimizer.build(fresh.trainable_variables)
    fresh.load_weights(folder / "best.weights.h5")
    loaded = keras.models.load_model(folder / "best.keras")
    for each in (robust, loaded, fresh):
        assert_equal(each, robust)
    for each in (robust, loaded, fresh):
        fit(each)
        assert_equal(each, robust)


def backup_and_restore(folder):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(folder / "backup")

    unbroken = make_robust(keras.optimizers.Adam(0.1), "prune")
    fit(unbroken, epochs=2)
    stopped = make_robust(keras.optimizers.Adam(0.1), "prune")
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, epochs=2, callbacks=[backup(), Stop()])
    resumed = make_robust(keras.optimizers.Adam(0.1), "prune")
    history = fit(resumed, epochs=2, callbacks=[backup()])
    assert len(history["loss"]) == 1
    assert_equal(resumed, unbroken)


def swap_ema_weights(folder):
    optimizer = keras.optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.5)
    robust = make_robust(optimizer)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    before = kernels_of(robust)
    fit(robust, epochs=2, callbacks=[swap], validation_data=(X, Y))
    for (old, kept), (new, _) in zip(before, kernels_of(robust), strict=True):
        np.testing.assert_array_equal(new[~kept], old[~kept])
        assert np.any(new[kept] != old[kept])
    stripped = ht.strip_masks(robust.network)
    np.testing.assert_allclose(stripped(X), robust.network(X), atol=1e-5)


def logs(folder):
    seen = []
    fit(
        make_robust(),
        callbacks=[
            keras.callbacks.TensorBoard(folder / "events", histogram_freq=1),
            keras.callbacks.CSVLogger(folder / "log.csv"),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: seen.append(set(logs))
            ),
        ],
    )
    names = {"loss", "robust_ce", "natural_accuracy", "robust_accuracy"}
    assert seen == [names] * 2
    assert names <= set((folder / "log.csv").read_text().split()[0].split(","))
    tags = {
        value.tag
        for path in (folder / "events").rglob("*.v2")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {f"epoch_{name}" for name in names} <= tags


# --- ways to run a step -----------------------------------------------------


def gradient_accumulation(folder):
    found = []
    for steps, size in ((None, 8), (2, 4)):
        optimizer = keras.optimizers.AdamW(
            0.1, gradient_accumulation_steps=steps
        )
        robust = make_robust(optimizer)
        fit(robust, batch_size=size)
        found.append(robust)
        assert int(robust.optimizer.iterations) == 1
    assert_equal(*found, atol=1e-6)


WAYS = [
    {"run_eagerly": True},
    {"steps_per_execution": 2},
    {"jit_compile": True},
]


def test_ways_to_run_a_step_agree(with_tracing):
    graph = make_robust(keras.optimizers.AdamW(0.1))
    fit(graph)
    for way in WAYS:
        other = make_robust(keras.optimizers.AdamW(0.1), **way)
        fit(other)
        assert_equal(graph, other, atol=1e-5)


# --- policies, files, copies ------------------------------------------------


def mixed(policy):
    def row(folder):
        # The layers' policy counts, whatever the global one is.
        robust = make_robust(
            "sgd", "prune", make_network(policy, last_dtype="float32")
        )
        scales = isinstance(
            robust.optimizer, keras.optimizers.LossScaleOptimizer
        )
        assert scales == (policy == "mixed_float16")
        first = robust.network.get_layer("first")
        assert first.scores.dtype == first.kernel.dtype == "float32"
        assert first.compute_dtype == policy.removeprefix("mixed_")
        before = first.scores.numpy()
        assert np.all(np.isfinite([*fit(robust).values()]))
        assert np.any(first.scores.numpy() != before)
        robust.save(folder / "robust.keras")
        loaded = keras.models.load_model(folder / "robust.keras")
        assert type(loaded.optimizer) is type(robust.optimizer)
        assert loaded.network.get_layer("last").compute_dtype == "float32"
        assert_equal(loaded, robust)

    return row


def policy_map(folder):
    policies = keras.dtype_policies.DTypePolicyMap("float32")
    policies[".*first"] = keras.DTypePolicy("mixed_bfloat16")
    robust = make_robust(network=make_network(dtype=policies))
    assert np.isfinite(fit(robust)["loss"]).all()
    dtypes = [robust.network.get_layer(each).compute_dtype for each in LAYERS]
    assert dtypes == ["bfloat16", "float32"]


def keras_and_weights_files(folder):
    robust = make_robust(keras.optimizers.Lion(0.1), "prune")
    fit(robust)
    robust.network.save(folder / "network.keras")
    robust.network.save_weights(folder / "network.weights.h5")
    loaded = keras.models.load_model(folder / "network.keras")
    other = ht.start_pruning(make_network(), density=0.9)
    other.load_weights(folder / "network.weights.h5")
    for each in (loaded, other):
        ht.set_phase(each, "prune")
        np.testing.assert_allclose(each(X), robust.network(X), atol=1e-6)


def clone_model(folder):
    robust = make_robust(phase="prune")
    fit(robust)
    for original in (robust.network, robust):
        clone = keras.models.clone_model(original)
        clone.set_weights(original.get_weights())
        np.testing.assert_allclose(clone(X), original(X), atol=1e-6)
    assert type(clone) is ht.RobustModel
    assert clone.network is not robust.network
    layer = clone.network.get_layer("last")
    assert layer.phase == "prune"


def json_description(folder):
    robust = make_robust()
    again = keras.models.model_from_json(robust.to_json())
    assert again.objective.get_config() == robust.objective.get_config()
    assert json.loads(again.to_json()) == json.loads(robust.to_json())


MACHINERY = [
    early_stopping,
    learning_rates,
    model_checkpoint,
    backup_and_restore,
    swap_ema_weights,
    logs,
    gradient_accumulation,
    mixed("mixed_bfloat16"),
    mixed("mixed_float16"),
    policy_map,
    keras_and_weights_files,
    clone_model,
    json_description,
]


@pytest.mark.parametrize("row", MACHINERY, ids=lambda row: row.__qualname__)
def test_works_with_a_robust_model(row, tmp_path, without_tracing):
    row(tmp_path)
