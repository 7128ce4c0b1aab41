"""Evaluations that are stopped and resumed, in the folder of a run."""

import numpy as np
import pytest

from hydra_tf import evaluation
from hydra_tf.errors import InputError
from trainers.evaluation import measuring
from trainers.run.folder import RunFolder

IMAGES = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)
LABELS = np.array([0, 0, 1, 1])


def network(x):
    return x - 0.5


def task(checkpoint="ab", images=IMAGES, **changes):
    settings = evaluation.EvaluationSettings(attacks=("fgsm",), **changes)
    return measuring.Task(images, LABELS, settings, checkpoint)


def where(folder, phase="prune"):
    return {"folder": RunFolder(folder), "phase": phase, "progress": "none"}


def states(folder, phase="prune"):
    return len(measuring.states(RunFolder(folder), phase))


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """Starts evaluations that are stopped; returns how many were."""

    def stop(*_, state, **__):
        state.touch()
        raise KeyboardInterrupt

    def start(phase="prune", **changes):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(evaluation, "evaluate", stop)
            measuring.measure(
                network, task(**changes), **where(tmp_path, phase)
            )
        return {
            phase: states(tmp_path, phase) for phase in ("prune", "finetune")
        }

    return start


def test_other_settings_networks_and_images_have_states_of_their_own(stopped):
    assert stopped() == {"prune": 1, "finetune": 0}
    assert stopped() == {"prune": 1, "finetune": 0}
    assert stopped(epsilon=0.1)["prune"] == 2
    assert stopped(checkpoint="cd")["prune"] == 3
    assert stopped(images=IMAGES / 2)["prune"] == 4
    assert stopped("finetune") == {"prune": 4, "finetune": 1}


def test_what_is_kept_of_a_phase_can_be_removed(stopped, tmp_path):
    stopped(epsilon=0.1)
    stopped("finetune")
    result = measuring.measure(network, task(epsilon=0.2), **where(tmp_path))
    assert result.num_examples == 4
    assert states(tmp_path) == 1
    measuring.forget(RunFolder(tmp_path), "prune")
    assert (states(tmp_path), states(tmp_path, "finetune")) == (0, 1)


def test_a_network_is_measured_once_until_that_is_forgotten(
    monkeypatch, tmp_path
):
    calls = []
    evaluate = evaluation.evaluate

    def counted(*arguments, **settings):
        calls.append(settings)
        return evaluate(*arguments, **settings)

    monkeypatch.setattr(evaluation, "evaluate", counted)

    def measured(**changes):
        return measuring.measure_once(
            network, task(**changes), **where(tmp_path)
        )

    first = measured()
    assert measured() == first and len(calls) == 1
    # It names the second class always.
    assert first.figures["natural_accuracy"] == 0.5
    assert first.header[:4] == ["index", "label", "predicted", "correct"]
    assert [row[:4] for row in first.rows] == [
        [str(index), str(label), "1", str(label)]
        for index, label in enumerate(LABELS)
    ]
    # Neither another network's nor another radius' figures are it.
    measured(checkpoint="cd")
    measured(epsilon=0.3)
    assert len(calls) == 3
    measuring.forget(RunFolder(tmp_path), "prune")
    measured()
    assert len(calls) == 4


def test_figures_that_were_damaged_are_named(tmp_path):
    measuring.measure_once(network, task(), **where(tmp_path))
    (path,) = measuring.states(RunFolder(tmp_path), "prune")
    path.write_text('{"figures": []}')
    with pytest.raises(InputError, match=f"{path.name}.*delete it"):
        measuring.measure_once(network, task(), **where(tmp_path))
