"""The usual course in one call: like its parts, plain, resumable."""

import inspect

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.errors import InputError
from tests.flags.command_line import parse
from tests.mistakes.given import Given

OBJECTIVE = ht.objectives.FGSM(epsilon=0.1)
SHORT = {"prune_epochs": 1, "finetune_epochs": 2, "seed": 3}


pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    keras.utils.set_random_seed(0)
    one = Given(tmp_path_factory.mktemp("given"))
    one.trained = one.network()
    return one


@pytest.fixture(scope="module")
def data(given):
    return ht.data.from_arrays(given.images, given.labels, batch_size=6, seed=3)


@pytest.fixture(scope="module")
def whole(given, data):
    """What the call returns that is never stopped."""
    before = given.trained.get_weights()
    pruned = ht.prune(given.trained, data, OBJECTIVE, 0.25, **SHORT)
    assert_equal(given.trained.get_weights(), before)
    return pruned


def assert_equal(one, other):
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_network_is_plain_and_as_sparse_as_asked_for(whole):
    network, history = whole
    assert network is whole.network and history is whole.history
    kinds = [type(layer) for layer in network.layers]
    dense = keras.layers.Dense
    assert kinds == [keras.layers.Flatten, dense, dense]
    for kernel in (network.layers[1].kernel, network.layers[2].kernel):
        size = int(np.prod(kernel.shape))
        assert np.count_nonzero(kernel) == ht.kept_count(0.25, size)


def test_history_is_that_of_keras_for_each_phase(whole):
    assert list(whole.history) == ["prune", "finetune"]
    assert whole.history["finetune"]["epoch"] == [1, 2]
    for figures in whole.history.values():
        assert {"loss", "natural_accuracy", "robust_accuracy"} <= set(figures)
        assert np.all(np.isfinite(figures["loss"]))


def test_it_is_the_phases_one_after_the_other(whole, given, data):
    network = ht.start_pruning(given.trained, 0.25, seed=3)
    for phase, epochs in (("prune", 1), ("finetune", 2)):
        network = ht.training.run_phase(
            network, phase, data, OBJECTIVE, epochs=epochs, seed=3
        )
    assert_equal(
        ht.strip_masks(network).get_weights(), whole.network.get_weights()
    )


def test_stopped_course_resumes_to_the_same_network(
    whole, given, data, tmp_path
):
    def stop(index, logs):
        if callback.model.network.layers[1].phase == "finetune":
            raise interrupts.Interrupted(15)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    arguments = (given.trained, data, OBJECTIVE, 0.25)
    with pytest.raises(interrupts.Interrupted):
        ht.prune(*arguments, **SHORT, folder=tmp_path, callbacks=[callback])
    resumed = ht.prune(*arguments, **SHORT, folder=tmp_path)
    assert_equal(resumed.network.get_weights(), whole.network.get_weights())
    for phase, figures in whole.history.items():
        assert resumed.history[phase]["loss"] == figures["loss"]
    # Finished: it is read, not trained.
    again = ht.prune(*arguments, **SHORT, folder=tmp_path, callbacks=[callback])
    assert_equal(again.network.get_weights(), whole.network.get_weights())
    assert again.history == resumed.history
    # Of the last phase, too, before the first is looked at.
    others = SHORT | {"finetune_epochs": 3}
    with pytest.raises(InputError, match=r"`epochs`=2, not `epochs`=3"):
        ht.prune(*arguments, **others, folder=tmp_path)


def test_mistake_leaves_what_it_would_overwrite(given, tmp_path):
    def prune(train):
        return ht.prune(
            given.trained,
            train,
            OBJECTIVE,
            0.25,
            method="lwm",
            finetune_epochs=0,
            folder=tmp_path,
            overwrite=True,
        )

    prune((given.images, given.labels))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="`train` must have the shape"):
        prune((given.images[:, :2], given.labels))
    assert sorted(tmp_path.rglob("*")) == before


def test_phases_are_validated(given):
    pruned = ht.prune(
        given.trained,
        (given.images[:8], given.labels[:8]),
        OBJECTIVE,
        0.25,
        **SHORT,
        validation=(given.images[8:], given.labels[8:]),
        select="best",
    )
    for figures in pruned.history.values():
        assert len(figures["val_robust_accuracy"]) == len(figures["epoch"])
        best = figures["best_epoch"][-1] - 1
        robust = figures["val_robust_accuracy"]
        assert robust[best] == max(robust)


@pytest.mark.slow
def test_each_phase_may_stop_early(given):
    _, history = ht.prune(
        given.trained,
        (given.images[:8], given.labels[:8]),
        OBJECTIVE,
        0.25,
        **SHORT | {"prune_epochs": 4, "finetune_epochs": 4},
        # Nothing changes, so the first epoch stays the best.
        learning_rate=1e-30,
        validation=(given.images[8:], given.labels[8:]),
        patience=2,
    )
    for figures in history.values():
        assert figures["epoch"] == [1, 2, 3]
        assert figures["best_epoch"][-1] == 1


@pytest.mark.parametrize(
    "settings, phases",
    [
        ({"method": "lwm"}, ["finetune"]),
        (
            {"method": "snip", "optimizer": keras.optimizers.Adam()},
            ["finetune"],
        ),
        ({"method": "harp", "finetune_epochs": 0}, ["prune"]),
        ({"granularity": "2:4", "exclude": ["last"]}, ["prune", "finetune"]),
    ],
    ids=["lwm", "snip", "harp", "pattern"],
)
@pytest.mark.filterwarnings("ignore:.* how many batches it has")
def test_methods_and_data_of_all_kinds(settings, phases, given):
    trained = []
    pruned = ht.prune(
        given.trained,
        # Of unknown length.
        given.dataset().filter(lambda *batch: True)
        if "optimizer" in settings
        else (given.images, given.labels),
        OBJECTIVE,
        **{**SHORT, "finetune_epochs": 1, **settings},
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_begin=lambda logs: trained.append(1)
            )
        ],
    )
    assert len(trained) == len(phases)
    assert [name for name, each in pruned.history.items() if each] == phases
    assert np.any(np.asarray(pruned.network.layers[1].kernel) == 0)


def test_defaults_are_those_of_the_pipeline():
    defaults = {
        name: each.default
        for name, each in inspect.signature(ht.prune).parameters.items()
    }
    pipeline = parse()
    for phase in ("prune", "finetune"):
        assert defaults[f"{phase}_epochs"] == pipeline.epochs[phase]
        assert defaults[f"{phase}_learning_rate"] is None
        assert pipeline.optimizers[phase] == ht.training.OptimizerSettings()
    assert defaults["optimizer"] == ht.training.OptimizerSettings().optimizer
    assert defaults["method"] == pipeline.pruning.method
    assert ht.Pruning() == pipeline.pruning
    assert defaults["seed"] == pipeline.seed
    assert defaults["precision"] == pipeline.model.precision
