"""States of evaluations that were stopped, in the folder of a run."""

import numpy as np
import pytest

from hydra_tf import evaluation
from trainers.evaluation import measuring
from trainers.run.folder import RunFolder

IMAGES = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)
LABELS = np.array([0, 0, 1, 1])


def measure(
    folder, *, phase="prune", checkpoint="ab", images=IMAGES, **changes
):
    return measuring.measure(
        lambda x: x - 0.5,
        images,
        LABELS,
        evaluation.EvaluationSettings(attacks=("fgsm",), **changes),
        folder=RunFolder(folder),
        phase=phase,
        checkpoint=checkpoint,
        progress="none",
    )


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """Starts evaluations that are stopped; returns their states."""

    def stop(*_, state, **__):
        state.touch()
        raise KeyboardInterrupt

    def start(**changes):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(evaluation, "evaluate", stop)
            measure(tmp_path, **changes)
        return {
            phase: len(measuring.states(RunFolder(tmp_path), phase))
            for phase in ("prune", "finetune")
        }

    return start


def test_other_settings_networks_and_images_have_states_of_their_own(stopped):
    assert stopped() == {"prune": 1, "finetune": 0}
    assert stopped() == {"prune": 1, "finetune": 0}
    assert stopped(epsilon=0.1)["prune"] == 2
    assert stopped(checkpoint="cd")["prune"] == 3
    assert stopped(images=IMAGES / 2)["prune"] == 4
    assert stopped(phase="finetune") == {"prune": 4, "finetune": 1}


def test_measured_phase_leaves_no_state(stopped, tmp_path):
    stopped(epsilon=0.1)
    stopped(phase="finetune")
    assert measure(tmp_path, epsilon=0.2).num_examples == 4
    assert measuring.states(RunFolder(tmp_path), "prune") == []
    assert len(measuring.states(RunFolder(tmp_path), "finetune")) == 1
