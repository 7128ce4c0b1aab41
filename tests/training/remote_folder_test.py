"""All three phases in a remote folder: TensorFlow's memory, ram://."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import files
from hydra_tf.errors import InputError
from tests.mistakes.given import Given

pytestmark = pytest.mark.usefixtures("without_tracing")


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise Killed


def run(given, network, phase, folder, callbacks=()):
    return ht.training.run_phase(
        network,
        phase,
        (given.images, given.labels),
        ht.objectives.Natural(),
        epochs=1 + (phase == "prune"),
        folder=folder,
        callbacks=callbacks,
    )


def test_phases_resume_with_equal_weights_and_are_exported(tmp_path):
    given = Given(tmp_path)
    keras.utils.set_random_seed(0)
    remote = "ram://phases/run"
    network = run(given, given.network(), "pretrain", remote)
    start = ht.start_pruning(network, density=0.5)
    copy = keras.models.clone_model(start)
    copy.set_weights(start.get_weights())
    whole = run(given, copy, "prune", tmp_path / "run")
    before = start.get_weights()
    with pytest.raises(Killed):
        run(given, start, "prune", remote, [Kill()])
    # As a new process finds it.
    start.set_weights(before)
    network = run(given, start, "prune", remote)
    for one, other in zip(network.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    network = run(given, network, "finetune", remote)
    folder = files.as_path(remote)
    assert sorted(path.name for path in folder.rglob("*.*")) == sorted(
        f"{phase}.{suffix}"
        for phase in ("pretrain", "prune", "finetune")
        for suffix in ("keras", "history.json", "settings.json")
    )
    again = run(given, pytest.fail, "finetune", remote)
    for one, other in zip(network.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    info = ht.export_saved_model(network, folder / "saved_model")
    served = tf.saved_model.load(info.path).signatures["serving_default"](
        images=given.images
    )["logits"]
    np.testing.assert_allclose(
        served, network(given.images), rtol=1e-5, atol=1e-6
    )


def test_other_settings_in_a_remote_folder_are_refused(tmp_path):
    given = Given(tmp_path)
    run(given, given.network(), "pretrain", "ram://phases/other")
    with pytest.raises(InputError, match="`folder`=ram://phases/other holds"):
        ht.training.run_phase(
            given.network(),
            "pretrain",
            (given.images, given.labels),
            ht.objectives.Natural(),
            epochs=3,
            folder="ram://phases/other",
        )
