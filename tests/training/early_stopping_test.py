"""A phase stops once some epochs in a row were not the best."""

import keras
import pytest

from hydra_tf.training.best_weights import BestWeights
from hydra_tf.training.early_stopping import EarlyStopping


class FakeModel:
    """A network that is of no interest."""

    def __init__(self):
        self.network = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1)]
        )
        self.stop_training = False
        self.target_reached = True


def epochs_until_stopped(values, patience, reached=None, **settings):
    """Plays epochs of these accuracies; returns how many there were."""
    best, model = BestWeights(), FakeModel()
    stopping = EarlyStopping(
        best, patience, epochs=len(values), **{"start_from_epoch": 0} | settings
    )
    for callback in (best, stopping):
        callback.set_model(model)
    for epoch, value in enumerate(values):
        model.target_reached = reached is None or reached[epoch]
        best.on_epoch_end(epoch, {"val_robust_accuracy": value})
        assert not model.stop_training
        stopping.on_epoch_end(epoch)
        assert model.stop_training == stopping.stops_after(epoch)
        if model.stop_training:
            return epoch + 1
    return len(values)


@pytest.mark.parametrize("patience, epochs", [(1, 4), (2, 7), (3, 10)])
def test_stops_when_so_many_epochs_were_no_better(patience, epochs):
    values = [0.1, 0.2, 0.4, 0.3, 0.5, 0.5, 0.5, 0.6, 0.1, 0.1]
    # The third is the best until the fifth, and that until the eighth: equal
    # is no better.
    assert epochs_until_stopped(values, patience) == epochs


def test_the_last_epoch_is_no_early_one():
    best, model = BestWeights(), FakeModel()
    stopping = EarlyStopping(best, 1, epochs=2)
    best.set_model(model)
    for epoch, value in enumerate((0.5, 0.4)):
        best.on_epoch_end(epoch, {"val_robust_accuracy": value})
    assert not stopping.stops_after(1)


def test_epochs_while_the_radius_grows_are_not_waited_for():
    values = [0.5, *[0.4] * 9]
    assert epochs_until_stopped(values, 2) == 3
    assert epochs_until_stopped(values, 2, start_from_epoch=4) == 6


def test_epochs_before_the_target_density_are_not_waited_for():
    values, reached = [0.5, *[0.4] * 9], [False] * 4 + [True] * 6
    assert epochs_until_stopped(values, 2, reached) == 7
    assert epochs_until_stopped(values, 2, [False] * 10) == 10
