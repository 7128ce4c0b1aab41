"""Objective, pruning method and network from outside the package."""

import json

import keras
import numpy as np
import pytest

import hydra_tf.layers  # noqa: F401  Registers what the checkpoints hold.
from tests.trainers import binaries

MINE = '''
import keras
import tensorflow as tf

import hydra_tf as ht


class Noisy(ht.objectives.Objective):
    """Cross-entropy on the images and on noisy ones."""

    def __init__(self, epsilon=0.3, beta=2.0, share=0.5):
        self.epsilon = epsilon
        self.beta = beta
        self.share = share

    def perturb(self, model, x, y, seed=None):
        return x + self.epsilon

    def loss(self, model, x, y, perturbed, training=True):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        natural = loss(y, model(x, training=training))
        robust = loss(y, model(perturbed, training=training))
        return natural + self.share * self.beta * robust


def last(network, groups, *, seed, data):
    """The weights that come last, of each layer."""
    scores = [group.leader.scores for group in groups]
    return [
        tf.reshape(tf.range(tf.size(s), dtype=s.dtype), tf.shape(s))
        for s in scores
    ]


last.trains_scores = TRAINS


def network(input_shape, num_classes):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(num_classes),
        ]
    )
'''


@pytest.mark.slow
@pytest.mark.parametrize("trains_scores", [False, True])
def test_pipeline_runs_what_a_user_s_own_module_has(trains_scores, tmp_path):
    mine = MINE.replace("TRAINS", str(trains_scores))
    (tmp_path / "mine.py").write_text(mine)
    (tmp_path / "tfds").mkdir()
    common = [flag for flag in binaries.TINY if not flag.startswith("--eps")]
    command = (
        *common,
        f"--data_dir={tmp_path / 'tfds'}",
        "--objective=mine:Noisy",
        "--beta=4",
        "--objective_settings=share=1/4",
        "--method=mine:last",
        "--model=mine:network",
        *(f"--{phase}_epochs=1" for phase in ("pretrain", "prune", "finetune")),
        "--output_dir=run",
    )
    process = binaries.start("pipeline", *command, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "1 epochs of mine:Noisy" in out
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    run = record["run"]
    assert (run["objective"], run["method"]) == ("mine:Noisy", "mine:last")
    # What has no flag given is the objective's own, in the evaluation, too.
    assert (run["epsilon"], run["beta"], run["share"]) == (0.3, 4.0, 0.25)
    assert record["attacks"]["pgd"]["epsilon"] == 0.3
    assert record["phases"]["prune"]["epochs"] == trains_scores
    path = tmp_path / "run" / "checkpoints" / "prune.keras"
    mask = np.ravel(keras.saving.load_model(path).layers[-1].mask)
    assert mask.sum() == 32
    if not trains_scores:
        np.testing.assert_array_equal(mask[-32:], 1)
    # The folder's flags alone are the same run, which is finished.
    again = binaries.start("pipeline", "--flagfile=run/flags.txt", cwd=tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "finished before; nothing to do" in out
