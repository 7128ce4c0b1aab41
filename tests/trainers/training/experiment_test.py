"""What a run measures after each of its phases."""

import types

import pytest

from hydra_tf.evaluation import EvaluationSettings
from trainers.training.experiment import Experiment

BOTH = ("autoattack", "pgd")


@pytest.mark.parametrize(
    "epochs, phase, attacks",
    [
        ({"pretrain": 1, "prune": 1, "finetune": 1}, "pretrain", BOTH),
        ({"pretrain": 1, "prune": 1, "finetune": 1}, "prune", ("pgd",)),
        ({"pretrain": 1, "prune": 1, "finetune": 1}, "finetune", BOTH),
        ({"pretrain": 1, "prune": 1, "finetune": 0}, "prune", BOTH),
        ({"prune": 1}, "prune", BOTH),
    ],
)
def test_autoattack_is_spared_what_is_finetuned_next(epochs, phase, attacks):
    evaluation = EvaluationSettings(attacks=BOTH, epsilon=0.1)
    run = types.SimpleNamespace(
        settings=types.SimpleNamespace(evaluation=evaluation), epochs=epochs
    )
    after = Experiment.evaluation_after(run, phase)
    assert after.attacks == attacks
    assert after.epsilon == 0.1
