"""A phase is warned of an attack that it has overfitted to."""

import warnings

import pytest

from hydra_tf.training.catastrophic_overfitting import CatastrophicOverfitting
from hydra_tf.training.catastrophic_overfitting import overfitted_epoch


def epochs(*figures):
    """Returns a history of natural, robust and the attack's accuracy."""
    names = ("val_natural_accuracy", "val_robust_accuracy", "robust_accuracy")
    return [dict(zip(names, each, strict=True)) for each in figures]


HEALTHY = [(0.5, 0.3, 0.3), (0.7, 0.4, 0.5)]


@pytest.mark.parametrize(
    ("last", "found"),
    [
        ((0.8, 0.01, 0.9), 3),
        ((0.8, 0.2, 0.5), 3),
        # Ordinary overfitting.
        ((0.8, 0.35, 0.9), None),
        # A learning rate that is too high: the attack of training wins, too,
        ((0.6, 0.1, 0.2), None),
        # or the network knows nothing any more.
        ((0.1, 0.1, 0.5), None),
    ],
)
def test_collapse_is_told_from_other_trouble(last, found):
    assert overfitted_epoch(epochs(*HEALTHY, last)) == found


def test_nothing_is_told_without_validation_or_of_chance():
    assert overfitted_epoch([{"robust_accuracy": 0.5}] * 3) is None
    assert overfitted_epoch(epochs((0.1, 0.1, 0.1), (0.1, 0.04, 0.1))) is None


def test_a_phase_warns_once_in_one_line(capsys):
    history = epochs(*HEALTHY)
    watch = CatastrophicOverfitting("prune", history)
    with pytest.warns(UserWarning, match="in epoch 3 of the prune phase") as of:
        for figures in epochs((0.8, 0.01, 0.9), (0.8, 0.0, 0.95)):
            history.append(figures)
            watch.on_epoch_end(len(history) - 1)
    (warning,) = of
    assert "\n" not in str(warning.message)
    assert "noise_magnitude=2" in str(warning.message)
    # With progress it is a line of it; one that resumes later is silent.
    shown = CatastrophicOverfitting("prune", history[:3], "epochs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown.on_epoch_end(2)
        CatastrophicOverfitting("prune", history).on_epoch_end(3)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  warning: catastrophic overfitting in epoch 3")
