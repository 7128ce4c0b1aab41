"""The record of learned densities."""

import pytest

import hydra_tf as ht
from trainers.run import records

SPARSITY = {"density": 0.2, "flops": 100, "effective_flops": 30}
PRUNING = ht.Pruning(method="harp", density=0.25)


def epoch(number, loss, density, **further):
    return {
        "epoch": number,
        "gamma": 0.01 * number,
        "compression_loss": loss,
        "density": density,
        **further,
    }


def test_record_of_learned_densities_has_their_way_to_the_target():
    history = [
        epoch(1, 0.5, 0.6),
        epoch(2, 0.00004, 0.25),
        epoch(3, 0.0, 0.24, best_epoch=2),
    ]
    assert records.compression(PRUNING, SPARSITY, history) == {
        "target": 0.25,
        "resource": "weights",
        "achieved_weights": 0.2,
        "achieved_flops": 0.3,
        "gamma": pytest.approx(0.03),
        "gamma_frozen_at_epoch": 2,
        "best_epoch": 2,
        "density_before_settling": 0.25,
    }


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "loss": 0.5}]])
def test_rounds_have_no_such_figures(history):
    record = records.compression(PRUNING, SPARSITY, history)
    assert set(record) == {
        "target",
        "resource",
        "achieved_weights",
        "achieved_flops",
    }
