"""A phase in Python: from wherever it was stopped, to the same weights."""

import json

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.errors import DivergedError
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from tests import disks

pytestmark = pytest.mark.usefixtures("without_tracing")
traced = pytest.mark.usefixtures("with_tracing")

OBJECTIVE = ht.objectives.FGSM(epsilon=0.1)


@pytest.fixture(scope="module")
def train():
    """Images of two classes, dark and bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = (
        rng.uniform(0, 0.5, (48, 4, 4, 1)) + labels.reshape(-1, 1, 1, 1) / 2
    )
    return ht.data.from_arrays(
        images.astype("float32"), labels, batch_size=16, seed=1
    )


def model(units=6):
    """Returns a network with the same weights every time."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu", name="first"),
            keras.layers.Dense(2, name="last"),
        ]
    )


def masked(density=0.25):
    network = ht.to_masked(model())
    ht.init_scores(network, "scaled")
    ht.set_density(network, density)
    return network


def assert_equal(one, other):
    for first, second in zip(one.weights, other.weights, strict=True):
        if not first.path.endswith("/mask"):  # follows from scores and density
            np.testing.assert_array_equal(first, second, first.path)
    assert_equal_masks(one, other)


def assert_equal_masks(one, other):
    for name, layer in ht.masked_layers(one).items():
        np.testing.assert_array_equal(layer.mask, other.get_layer(name).mask)


def stop_after(epoch):
    """Returns a callback that ends training as a signal does."""

    def stop(index, logs):
        if index + 1 == epoch:
            raise interrupts.Interrupted(15)

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)


def run(network, phase, train, folder=None, **options):
    if not isinstance(options.get("optimizer"), keras.Optimizer):
        options = {"learning_rate": 0.05} | options
    options = {"epochs": 3, "seed": 2} | options
    return ht.training.run_phase(
        network, phase, train, OBJECTIVE, folder=folder, **options
    )


@pytest.mark.parametrize(
    "make, phase",
    [(model, "pretrain"), (masked, "prune"), (masked, "finetune")],
)
def test_stopped_phase_resumes_to_the_same_weights(
    make, phase, train, tmp_path, request
):
    if phase == "prune":
        request.getfixturevalue("with_tracing")
    whole = run(make(), phase, train)
    with pytest.raises(interrupts.Interrupted) as stopped:
        run(make(), phase, train, tmp_path, callbacks=[stop_after(2)])
    assert f"epoch 3 of 3 of the {phase} phase" in stopped.value.where
    resumed = run(make(), phase, train, tmp_path)
    assert_equal(whole, resumed)
    # Finished: it is read, not trained.
    again = run(make(), phase, train, tmp_path, callbacks=[stop_after(1)])
    assert_equal(whole, again)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {
        f"{phase}.{suffix}"
        for suffix in ("keras", "history.json", "settings.json")
    }
    history = tmp_path / "checkpoints" / f"{phase}.history.json"
    assert [each["epoch"] for each in json.loads(history.read_text())] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    "change, name",
    [
        ({"epochs": 1}, "epochs"),
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"optimizer": keras.optimizers.SGD(0.1)}, "optimizer"),
        ({"precision": "mixed_bfloat16"}, "precision"),
        ({"settings": {"note": "b"}}, "note"),
    ],
)
def test_other_settings_are_refused_unless_overwriting(
    change, name, train, tmp_path
):
    common = {"epochs": 0, "settings": {"note": "a"}}
    run(model(), "pretrain", train, tmp_path, **common)
    with pytest.raises(InputError, match=f"begun with `{name}`="):
        run(model(), "pretrain", train, tmp_path, **{**common, **change})
    changed = {**common, **change, "overwrite": True}
    run(model(), "pretrain", train, tmp_path, **changed)


@pytest.fixture(scope="module")
def parts(train):
    """Images that train, and others to validate by."""
    return ht.data.split_validation(train, 0.25)


@pytest.mark.parametrize(
    "phase", ["pretrain", pytest.param("prune", marks=pytest.mark.slow)]
)
def test_best_epoch_is_that_of_validation_also_after_a_stop(
    phase, parts, tmp_path
):
    make = masked if phase == "prune" else model
    options = {"validation": parts[1], "select": "best", "epochs": 4}
    # So high that the figures rise and fall.
    options |= {"learning_rate": 2.0, "lr_schedule": "constant"}
    weights = []

    def keep(epoch, logs):
        weights.append([np.array(each) for each in trained.weights])

    trained = make()
    callback = keras.callbacks.LambdaCallback(on_epoch_end=keep)
    whole = run(
        trained,
        phase,
        parts[0],
        tmp_path / "a",
        callbacks=[callback],
        **options,
    )
    with pytest.raises(interrupts.Interrupted):
        run(
            make(),
            phase,
            parts[0],
            tmp_path / "b",
            callbacks=[stop_after(2)],
            **options,
        )
    assert_equal(whole, run(make(), phase, parts[0], tmp_path / "b", **options))
    one, other = (
        ht.training.PhaseCheckpoints(tmp_path / name, phase).read_history()
        for name in "ab"
    )
    for epoch in (*one, *other):
        del epoch["seconds"]
    assert one == other
    figures = [epoch["val_robust_accuracy"] for epoch in one]
    best = int(np.argmax(figures))
    assert best < 3
    assert one[-1]["best_epoch"] == best + 1
    for weight, expected in zip(whole.weights, weights[best], strict=True):
        if not weight.path.endswith("/mask"):
            np.testing.assert_array_equal(weight, expected)


def test_phase_that_stops_early_is_finished_also_after_a_kill(
    parts, tmp_path, capsys
):
    options = {"validation": parts[1], "patience": 2, "epochs": 9}
    options |= {"learning_rate": 2.0, "lr_schedule": "constant"}
    options |= {"progress": "epochs"}
    whole = run(model(), "pretrain", parts[0], tmp_path / "a", **options)
    lines = capsys.readouterr().out.splitlines()
    kept = [
        ht.training.PhaseCheckpoints(tmp_path / name, "pretrain")
        for name in "ab"
    ]
    history = kept[0].read_history()
    best, last = history[-1]["best_epoch"], len(history)
    assert last < 9 and last == best + 2
    figures = [epoch["val_robust_accuracy"] for epoch in history]
    assert best == 1 + int(np.argmax(figures))
    assert [epoch.get("stopped_early") for epoch in history] == [
        *[None] * (last - 1),
        1.0,
    ]
    assert lines[-1].endswith(f"  stopped early, best was epoch {best}")

    def killed(epoch):
        with pytest.raises(interrupts.Interrupted) as stopped:
            callbacks = [stop_after(epoch)]
            run(
                model(),
                "pretrain",
                parts[0],
                tmp_path / "b",
                callbacks=callbacks,
                **options,
            )
        return stopped.value.where

    # While it waits for a better epoch, and again when it has stopped.
    assert killed(last - 1).startswith(
        f"run it again to resume at epoch {last}"
    )
    assert killed(last).startswith("run it again to finish")
    assert not kept[1].is_finished
    again = run(
        model(),
        "pretrain",
        parts[0],
        tmp_path / "b",
        callbacks=[stop_after(last + 1)],
        **options,
    )
    assert_equal(whole, again)
    assert [each["val_robust_accuracy"] for each in kept[1].read_history()] == (
        figures
    )
    with pytest.raises(InputError, match="`patience`=2, not `patience`=3"):
        run(
            model(),
            "pretrain",
            parts[0],
            tmp_path / "b",
            **{**options, "patience": 3},
        )


def test_validation_leaves_the_training_as_it_is(parts, tmp_path):
    train, validation = parts
    plain = run(model(), "pretrain", train, epochs=2)
    watched = run(
        model(), "pretrain", train, tmp_path, epochs=2, validation=validation
    )
    assert_equal(plain, watched)
    kept = ht.training.PhaseCheckpoints(tmp_path, "pretrain")
    last = kept.read_history()[-1]
    images, labels = validation.arrays()
    right = np.argmax(watched.predict(images, verbose=0), -1) == labels
    assert last["val_natural_accuracy"] == pytest.approx(right.mean())
    attacked = ht.attacks.pgd(
        watched,
        images,
        labels,
        epsilon=OBJECTIVE.epsilon,
        step_size=OBJECTIVE.epsilon / 4,
        num_steps=10,
        seed=0,
    )
    right = np.argmax(watched.predict(attacked, verbose=0), -1) == labels
    assert last["val_robust_accuracy"] == pytest.approx(right.mean(), abs=0.1)
    assert "best_epoch" not in last


def test_best_epoch_of_rounds_is_one_of_the_final_density(parts, tmp_path):
    pruning = ht.Pruning(method="lwm", density=0.1, multistep=True, rounds=2)
    network = run(
        pruning.start(model(), epochs=4),
        "prune",
        parts[0],
        tmp_path,
        epochs=4,
        pruning=pruning,
        validation=parts[1],
        select="best",
    )
    # Its rounds are in the epochs 1 and 3.
    kept = ht.training.PhaseCheckpoints(tmp_path, "prune")
    assert kept.read_history()[-1]["best_epoch"] >= 3
    assert ht.sparsity_report(network).density == pytest.approx(0.1, abs=0.02)


def run_course(
    train, folder=None, *, method="feedback", density=0.1, **options
):
    pruning = ht.Pruning(method=method, density=density, mask_updates=5)
    return run(
        pruning.start(model(), epochs=4),
        "prune",
        train,
        folder,
        epochs=4,
        pruning=pruning,
        **options,
    )


@pytest.mark.parametrize(
    "method",
    ["feedback", pytest.param("gradual", marks=pytest.mark.slow)],
)
def test_stopped_course_resumes_to_the_same_weights(method, train, tmp_path):
    whole = run_course(train, method=method)
    with pytest.raises(interrupts.Interrupted):
        run_course(train, tmp_path, method=method, callbacks=[stop_after(2)])
    resumed = run_course(train, tmp_path, method=method)
    assert_equal(whole, resumed)
    history = ht.training.PhaseCheckpoints(tmp_path, "prune").read_history()
    densities = [each["density"] for each in history]
    assert densities[0] > densities[1] >= densities[2] == densities[3]
    assert ht.sparsity_report(resumed).density == densities[3]


def test_masks_are_renewed_in_time_whatever_a_call_holds(train):
    updates = []

    class Watching(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            updates.append(self.model.steps_per_execution)

    def pruned(method, steps, **settings):
        pruning = ht.Pruning(method=method, density=0.1, **settings)
        return run(
            pruning.start(model(), epochs=2),
            "prune",
            train,
            epochs=2,
            pruning=pruning,
            steps_per_execution=steps,
            callbacks=[Watching()],
        )

    steps = train.steps_per_epoch
    # At every step, and once in each of two epochs.
    assert_equal(pruned("feedback", 1), pruned("feedback", steps))
    pruned("gradual", steps)
    assert updates == [1, 1, steps]


def test_best_epoch_of_a_course_is_one_of_the_final_density(parts, tmp_path):
    network = run_course(parts[0], tmp_path, validation=parts[1], select="best")
    last = ht.training.PhaseCheckpoints(tmp_path, "prune").read_history()[-1]
    assert last["best_epoch"] >= 2
    assert ht.sparsity_report(network).density == last["density"]


@pytest.mark.slow
@traced
def test_course_on_replicas_ends_like_one_on_a_device(train):
    # In whole steps of one attack no gradient is close to zero.
    one = run_course(train, steps_per_execution=1)
    two = run_course(train, strategy="mirrored")
    for name, layer in ht.masked_layers(one).items():
        other = two.get_layer(name)
        np.testing.assert_array_equal(layer.mask, other.mask)
        np.testing.assert_allclose(layer.kernel, other.kernel, atol=1e-4)
        assert not other.masked_kernel.dense_gradients


@pytest.mark.slow
@traced
def test_course_takes_several_steps_in_a_call(train):
    network = run_course(train, steps_per_execution=3, density=0.25)
    assert ht.sparsity_report(network).density == pytest.approx(0.25, abs=0.01)


def test_another_network_is_refused_to_resume(train, tmp_path):
    run(masked(), "prune", train, tmp_path, epochs=0)
    other = masked()
    other.get_layer("first").kernel.assign_add(np.ones((16, 6)))
    with pytest.raises(InputError, match="started from another network"):
        run(other, "prune", train, tmp_path, epochs=0)


@traced
def test_phase_trains_what_it_should(train):
    network = masked()
    before = network.get_layer("first").kernel.numpy()
    scores = network.get_layer("first").scores.numpy()
    run(network, "prune", train)
    np.testing.assert_array_equal(network.get_layer("first").kernel, before)
    assert np.any(network.get_layer("first").scores.numpy() != scores)
    run(network, "finetune", train)
    mask = np.asarray(network.get_layer("first").mask)
    changed = network.get_layer("first").kernel.numpy() != before
    np.testing.assert_array_equal(changed, mask == 1)


def test_keras_optimizer_has_its_own_settings(train):
    still = run(model(), "pretrain", train, optimizer=keras.optimizers.SGD(0.0))
    assert_equal(still, model())


def test_activation_that_was_taken_away_can_be_kept(train, tmp_path):
    network = model()
    network.layers[-1].activation = None
    network = run(network, "pretrain", train, tmp_path, epochs=0)
    kept = run(model(), "pretrain", train, tmp_path, epochs=0)
    assert_equal(kept, network)


def test_zero_epochs_leave_the_weights(train, tmp_path):
    network = run(model(), "pretrain", train, tmp_path, epochs=0)
    assert_equal(network, model())
    assert (tmp_path / "checkpoints" / "pretrain.keras").is_file()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"phase": "prun"}, "`phase` must be one of .*'prune'"),
        ({"phase": "prune"}, "`network` has no masks"),
        ({"epochs": -1}, "`epochs` must be a whole number"),
        ({"optimizer": "sdg"}, "`optimizer` must be .*'sgd'"),
        ({"weight_decay": -1.0}, "`weight_decay` must be"),
        ({"epochs": 2, "warmup_epochs": 2}, "`warmup_epochs`=2 must be less"),
        ({"precision": "float16"}, "`precision` must be"),
        ({"strategy": "tpus"}, "`strategy` must be"),
        ({"progress": "all"}, "`progress` must be"),
        ({"select": "first"}, "`select` must be"),
        ({"select": "best"}, "`select`='best' needs `validation`"),
        ({"patience": 1}, "`patience`=1 needs `validation`"),
        ({"validation_attack": "pgd"}, "`validation_attack` must be an obj"),
        ({"validation": "digits"}, "`validation` must be a hydra_tf.data"),
        ({"steps_per_execution": 2}, "`steps_per_execution`=2 .* divide 3.* 1"),
        ({"train": [1, 2, 3]}, "`train` must be .*pair of arrays"),
        ({"pruning": "hydra"}, "`pruning` must be a hydra_tf.Pruning"),
        (
            {"network": keras.Sequential([keras.layers.Dense(2)], name="new")},
            "`network` 'new' is not built: begin it with keras.Input",
        ),
        (
            {"optimizer": keras.optimizers.SGD(0.1), "learning_rate": 0.1},
            "`learning_rate`=0.1 has no effect beside a Keras optimiser",
        ),
    ],
)
def test_mistakes_are_named(options, words, train, tmp_path):
    options = {"phase": "pretrain", "train": train} | options
    network = options.pop("network", None) or model()
    with pytest.raises(InputError, match=words):
        run(network, folder=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_diverged_training_stops(train):
    with pytest.raises(DivergedError, match="`learning_rate`"):
        run(model(), "pretrain", train, learning_rate=1e30)
    with pytest.raises(DivergedError, match="prune phase.*`learning_rate`"):
        run(masked(), "prune", train, learning_rate=1e38, epochs=2)


@traced
def test_precision_and_replicas_end_in_float32(train):
    before = keras.config.dtype_policy().name
    network = run(
        masked(),
        "prune",
        train,
        epochs=1,
        precision="mixed_bfloat16",
        strategy="mirrored",
    )
    assert network.get_layer("first").dtype_policy.name == "float32"
    assert keras.config.dtype_policy().name == before


def test_progress_is_silent_unless_asked_for(train, capsys):
    run(model(), "pretrain", train, epochs=1)
    assert capsys.readouterr().out == ""
    run(model(), "pretrain", train, epochs=1, progress="epochs")
    assert "pretrain 1/1  loss" in capsys.readouterr().out


@pytest.mark.parametrize(
    "phase, counts",
    [
        # The state after the second epoch.
        ("pretrain", [4]),
        pytest.param("pretrain", range(6), marks=pytest.mark.slow),
        pytest.param("prune", range(6), marks=pytest.mark.slow),
    ],
)
def test_full_disk_loses_nothing_whatever_file_it_stops(
    train, tmp_path, phase, counts
):
    make = model if phase == "pretrain" else masked
    with disks.full_at(100) as written:
        whole = run(make(), phase, train, tmp_path / "whole", epochs=2)
    # Settings, history and state of two epochs, the network.
    assert len(written) == 6
    for count in counts:
        folder = tmp_path / str(count)
        with (
            disks.full_at(count),
            pytest.raises(FileError, match="cannot be written: No space left"),
        ):
            run(make(), phase, train, folder, epochs=2)
        assert_equal(whole, run(make(), phase, train, folder, epochs=2))
        assert {path.name for path in (folder / "checkpoints").iterdir()} == {
            f"{phase}.{suffix}"
            for suffix in ("keras", "history.json", "settings.json")
        }


def test_state_of_more_epochs_than_the_phase_has_is_refused(train, tmp_path):
    with pytest.raises(interrupts.Interrupted):
        run(model(), "pretrain", train, tmp_path, callbacks=[stop_after(1)])
    path = tmp_path / "checkpoints" / "pretrain.state.npz"
    with np.load(path) as arrays:
        changed = {**arrays, "epoch": 4}
    np.savez(path, **changed)
    with pytest.raises(InputError, match="after 4 epochs of a phase of 3"):
        run(model(), "pretrain", train, tmp_path)


def test_history_that_was_deleted_costs_figures_alone(train, tmp_path):
    with pytest.raises(interrupts.Interrupted):
        run(model(), "pretrain", train, tmp_path, callbacks=[stop_after(2)])
    history = tmp_path / "checkpoints" / "pretrain.history.json"
    history.unlink()
    run(model(), "pretrain", train, tmp_path)
    assert [each["epoch"] for each in json.loads(history.read_text())] == [3]


def test_images_that_a_function_returns_are_checked_before_anything_is_written(
    tmp_path,
):
    images = np.zeros((4, 3, 3, 1), np.float32)
    with pytest.raises(InputError, match="shape"):
        ht.training.run_phase(
            model,
            "pretrain",
            lambda: (images, [0, 1, 0, 1]),
            OBJECTIVE,
            epochs=1,
            folder=tmp_path / "run",
        )
    assert not any(tmp_path.iterdir())


def test_validation_attack_counts_where_it_decides_something(parts, tmp_path):
    options = {"validation": parts[1], "epochs": 1}
    other = {"validation_attack": ht.objectives.FGSM(epsilon=0.05)}
    run(model(), "pretrain", parts[0], tmp_path / "a", **options)
    run(model(), "pretrain", parts[0], tmp_path / "a", **options, **other)
    options |= {"select": "best"}
    run(model(), "pretrain", parts[0], tmp_path / "b", **options)
    with pytest.raises(InputError, match="begun with `validation_attack`="):
        run(model(), "pretrain", parts[0], tmp_path / "b", **options, **other)
    run(model(), "pretrain", parts[0], tmp_path / "c", **options, **other)
    with pytest.raises(InputError, match="begun with `validation_attack`="):
        run(model(), "pretrain", parts[0], tmp_path / "c", **options)


def test_optimizer_without_a_name_is_the_same_in_the_next_call(train, tmp_path):
    for _ in range(2):
        optimizer = keras.optimizers.SGD(0.1)
        run(model(), "pretrain", train, tmp_path, optimizer=optimizer)


@pytest.mark.parametrize("epoch", [2, 3])
def test_average_of_an_optimizer_survives_a_stop(epoch, train, tmp_path):
    options = {"optimizer": keras.optimizers.SGD(0.1, use_ema=True)}
    whole = run(model(), "pretrain", train, **options)
    with pytest.raises(interrupts.Interrupted):
        callbacks = [stop_after(epoch)]
        run(
            model(), "pretrain", train, tmp_path, **options, callbacks=callbacks
        )
    assert_equal(whole, run(model(), "pretrain", train, tmp_path, **options))


def test_variable_that_is_frozen_on_its_own_stays_in_half_precision(train):
    network = model()
    kernel = network.get_layer("first").kernel
    kernel.trainable = False
    trained = run(network, "pretrain", train, precision="mixed_bfloat16")
    np.testing.assert_array_equal(trained.get_layer("first").kernel, kernel)
    assert np.any(np.asarray(trained.get_layer("first").bias) != 0)


class _OfFunction(keras.Model):
    """Has no configuration."""

    def __init__(self, function):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(2)
        self.function = function

    def call(self, inputs):
        return self.function(self.dense(self.flatten(inputs)))


@pytest.mark.parametrize("made_in", ["float32", "mixed_bfloat16"])
def test_half_precision_needs_a_configuration(made_in, train, tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(made_in)
    try:
        network = _OfFunction(lambda x: 2 * x)
        network(np.zeros((1, 4, 4, 1), np.float32))
    finally:
        keras.config.set_dtype_policy(before)
    with pytest.raises(InputError, match="can't be rebuilt"):
        run(
            network,
            "pretrain",
            train,
            tmp_path / "run",
            precision="mixed_bfloat16",
        )
    assert not any(tmp_path.iterdir())


def test_empty_arrays_are_named_by_their_argument(train):
    images, labels = np.zeros((0, 4, 4, 1), np.float32), np.zeros(0, int)
    with pytest.raises(InputError, match="`validation`: `images` must have"):
        run(model(), "pretrain", train, validation=(images, labels))
