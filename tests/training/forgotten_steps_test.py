"""`fit` warns of steps between its calls that were forgotten, and only then."""

import warnings

import pytest

import hydra_tf as ht
from tests.mistakes.given import Given


@pytest.fixture
def fit(tmp_path):
    """Trains a network for a step; returns what it was warned of."""
    given = Given(tmp_path)

    def train(network, phase=None):
        if phase is not None:
            ht.set_phase(network, phase)
        robust = ht.RobustModel(network, ht.objectives.Natural())
        # A step takes less time than its graph.
        robust.compile(ht.training.SGD(0.1), run_eagerly=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            robust.fit(given.images, given.labels, verbose=0)
        assert all(each.filename == __file__ for each in caught)
        return [str(each.message) for each in caught]

    return train


@pytest.fixture
def network(tmp_path):
    return ht.to_masked(Given(tmp_path).network())


def test_without_a_phase(fit, network):
    (message,) = fit(network)
    assert "no phase" in message and "hydra_tf.set_phase" in message


@pytest.mark.parametrize(
    "phase, method", [("prune", "scaled"), ("finetune", "magnitude")]
)
def test_scores_of_the_weights_before_they_were_pretrained(
    phase, method, fit, network
):
    ht.init_scores(network, method)
    assert fit(network, "pretrain") == []
    assert fit(network, "pretrain") == []
    ht.set_density(network, 0.5)
    (message,) = fit(network, phase)
    assert "hydra_tf.init_scores" in message


def test_densities_without_the_phase_that_uses_them(fit, network):
    assert fit(network, "pretrain") == []
    ht.init_scores(network)
    ht.set_density(network, 0.5)
    (message,) = fit(network)
    assert "hydra_tf.set_phase(network, 'prune')" in message


def test_nothing_where_no_step_is_forgotten(fit, network):
    # Also where the density is set before anything is trained.
    ht.set_density(network, 0.5)
    assert fit(network, "pretrain") == []
    ht.init_scores(network, "scaled")
    for phase in ("prune", "prune", "finetune", "pretrain"):
        assert fit(network, phase) == [], phase


def test_random_scores_need_no_weights(fit, network):
    ht.init_scores(network, "random", seed=0)
    assert fit(network, "pretrain") == []
    ht.set_density(network, 0.5)
    assert fit(network, "prune") == []


def test_loaded_scores_are_as_good_as_new_ones(fit, network, tmp_path):
    other = ht.to_masked(Given(tmp_path).network())
    other.save_weights(tmp_path / "other.weights.h5")
    assert fit(network, "pretrain") == []
    network.load_weights(tmp_path / "other.weights.h5")
    ht.set_density(network, 0.5)
    assert fit(network, "prune") == []


def test_plain_networks_pass(fit, tmp_path):
    assert fit(Given(tmp_path).network()) == []
