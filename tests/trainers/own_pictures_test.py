"""One's own pictures, by README's command, to a SavedModel that is served."""

import json

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from tests import docs_test
from tests.data import drawn
from tests.trainers import binaries

# Everything else is as README has it.
_QUICK = (
    "--batch_size=8",
    "--pretrain_epochs=1",
    "--prune_epochs=1",
    "--finetune_epochs=1",
    "--num_steps=1",
    "--eval_num_steps=2",
    "--eval_num_restarts=1",
    "--tensorboard_images=0",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    drawn.folder(folder / "pictures", each=10)
    return folder


@pytest.fixture(scope="module")
def command(folder):
    """README's command in that folder."""
    ((_, module, *arguments),) = (
        arguments
        for arguments in docs_test.commands("readme")
        if any("=folder:" in argument for argument in arguments)
    )
    assert module == "trainers.pipeline"
    arguments = [
        argument.replace("folder:", f"folder:{folder}/").replace(
            "output_dir=", f"output_dir={folder}/"
        )
        for argument in arguments
    ]
    return [*arguments, *_QUICK]


@pytest.fixture(scope="module")
def run(folder, command):
    assert binaries.run("pipeline", *command) == 0
    return folder / "runs" / "pictures"


def test_saved_model_serves_what_was_measured(run, folder):
    test = data.load(
        f"folder:{folder}/pictures", "test", batch_size=8, image_size=48
    )
    images, labels = test.arrays()
    loaded = tf.saved_model.load(run / "saved_model")
    serve = loaded.signatures["serving_default"]
    logits = serve(images=tf.constant(images))["logits"]
    served = np.argmax(logits, axis=-1)
    metrics = json.loads((run / "metrics.json").read_text())
    measured = metrics["phases"]["finetune"]
    assert measured["num_examples"] == len(labels) == 6
    np.testing.assert_allclose(
        np.mean(served == labels), measured["natural_accuracy"]
    )
    assert metrics["sparsity"]["density"] == pytest.approx(0.1, abs=0.001)


def test_names_of_the_classes_are_kept(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["dataset"]["class_names"] == list(drawn.CLASSES)
    assert metrics["dataset"]["num_train"] == 24
    card = (run / "README.md").read_text()
    assert "order of the logits: `bar`, `cross`, `square`." in card
    assert "largest part in its middle" in card


def test_network_is_evaluated_certified_and_exported(run, folder):
    common = (
        f"--source={run}",
        f"--dataset=folder:{folder}/pictures",
        "--image_size=48",
    )
    evaluated = (
        *("--epsilon=4/255", "--eval_attacks=fgsm"),
        f"--output_dir={folder / 'evaluated'}",
    )
    assert binaries.run("evaluate", *common, *evaluated) == 0
    certified = (
        *("--method=ibp", "--epsilons=0.001"),
        f"--output_dir={folder / 'certified'}",
    )
    assert binaries.run("certify", *common, *certified) == 0
    exported = (*common, f"--output_dir={folder / 'exported'}")
    assert binaries.run("export", *exported) == 0
    card = (folder / "exported" / "README.md").read_text()
    assert "`bar`, `cross`, `square`" in card


def test_finished_run_stays_until_the_pictures_change(
    run, folder, command, capfd
):
    before = (run / "metrics.json").read_bytes()
    assert binaries.run("pipeline", *command) == 0
    assert "nothing to do" in capfd.readouterr().out
    extra = folder / "pictures" / "bar" / "extra.png"
    drawn.save(extra, drawn.picture("bar", 99))
    try:
        assert binaries.run("pipeline", *command) == 2
    finally:
        extra.unlink()
    error = capfd.readouterr().err
    assert "when the data set held other images or classes" in error
    assert error.count("\n") == 1
    assert (run / "metrics.json").read_bytes() == before
