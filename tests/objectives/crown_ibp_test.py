"""CROWN-IBP: golden losses, and the weight of CROWN's margins."""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.bounds import BoundPropagation
from tests import golden
from tests.objectives.golden_bounds import LOSS_RTOL
from tests.objectives.golden_bounds import assert_gradients
from tests.objectives.golden_bounds import golden_network
from tests.objectives.golden_bounds import step
from tests.objectives.small_case import RAMP
from tests.objectives.small_case import X
from tests.objectives.small_case import Y
from tests.objectives.small_case import losses
from tests.objectives.small_case import make_network

# Of the plain network, gradients of two cases are kept.
CROWN_IBP_CASES = [
    ("N1", "finetune", 1),
    ("N1", "finetune", 2),
    *[("N1m", phase, i) for phase in ("finetune", "prune") for i in (0, 3)],
    *[
        pytest.param("N1m", phase, i, marks=pytest.mark.slow)
        for phase in ("finetune", "prune")
        for i in (1, 2)
    ],
]


def crown_ibp(arrays, case):
    """Returns the objective and the epoch whose radius is that of a case."""
    target = float(arrays["cases/eps_target"][case])
    epsilon = float(arrays["cases/eps"][case])
    ramp = ht.schedules.LinearRamp(0, 1, first=0.0, last=target)
    return ht.objectives.CROWNIBP(epsilon=ramp), epsilon / target


@pytest.mark.parametrize(("name", "phase", "case"), CROWN_IBP_CASES)
def test_crown_ibp_matches_golden(name, phase, case):
    arrays = golden.load("crown_ibp_loss")
    network = golden_network(arrays, name, phase)
    objective, epoch = crown_ibp(arrays, case)
    terms, figures, gradients = step(
        objective, network, arrays, epoch=tf.constant(epoch)
    )
    key = f"{name}/case{case}"
    np.testing.assert_allclose(
        terms["robust_ce"], arrays[f"{key}/robust_ce"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, key, phase)
    np.testing.assert_allclose(
        figures["natural_ce"][0], arrays[f"{key}/clean_ce"], rtol=LOSS_RTOL
    )
    np.testing.assert_allclose(
        figures["certified_accuracy"][0],
        np.mean((arrays[f"{key}/mixed_margin_lower"] > 0).all(axis=1)),
    )
    np.testing.assert_allclose(
        figures["epsilon"], arrays["cases/eps"][case], rtol=1e-6
    )
    np.testing.assert_allclose(
        figures["crown_weight"], arrays["cases/beta"][case], atol=1e-6
    )


@pytest.mark.parametrize("name", ["N1", "N1m"])
@pytest.mark.parametrize("case", range(4))
def test_a_fixed_weight_of_crown_matches_golden(name, case):
    arrays = golden.load("crown_ibp_loss")
    objective = ht.objectives.CROWNIBP(
        epsilon=float(arrays["cases/eps"][case]),
        crown_weight=float(arrays["cases/beta"][case]),
    )
    network = golden_network(arrays, name, "finetune")
    terms, _, _ = step(objective, network, arrays)
    np.testing.assert_allclose(
        terms["robust_ce"],
        arrays[f"{name}/case{case}/robust_ce"],
        rtol=LOSS_RTOL,
    )


@pytest.mark.parametrize("phase", ["finetune", "prune"])
def test_eager_and_compiled_steps_agree(phase):
    arrays = golden.load("crown_ibp_loss")
    network = golden_network(arrays, "N1m", phase)
    objective, epoch = crown_ibp(arrays, 1)
    results = [
        step(
            objective,
            network,
            arrays,
            compile_it=compile_it,
            epoch=tf.constant(epoch),
        )
        for compile_it in (True, False)
    ]
    np.testing.assert_allclose(
        *(terms["robust_ce"] for terms, _, _ in results), rtol=1e-6
    )
    for path, gradient in results[0][2].items():
        np.testing.assert_allclose(
            gradient, results[1][2][path], rtol=0, atol=1e-6
        )


@pytest.fixture
def crown_passes(monkeypatch):
    """The passes of CROWN, one entry each."""
    passes = []
    bound = BoundPropagation.bound

    def counted(self, method, *args, **kwargs):
        if method == "crown_ibp":
            passes.append(args)
        return bound(self, method, *args, **kwargs)

    monkeypatch.setattr(BoundPropagation, "bound", counted)
    return passes


@pytest.mark.parametrize(
    ("settings", "epoch", "weight"),
    [
        ({"epsilon": 0.1}, 0.0, 0.0),
        ({"epsilon": 0.0}, 0.0, 0.0),
        ({"epsilon": RAMP}, 0.0, 1.0),
        ({"epsilon": RAMP}, 0.5, 0.75),
        ({"epsilon": RAMP}, 2.0, 0.0),
        ({"epsilon": RAMP}, None, 0.0),
        ({"crown_weight": 0.5}, 0.0, 0.5),
        ({"crown_weight": 1e-6}, 0.0, 1e-6),
        ({"epsilon": RAMP, "crown_weight": 0.25}, None, 0.25),
        (
            {"crown_weight": ht.schedules.LinearRamp(0, 1, 1.0, 0.0)},
            0.25,
            0.75,
        ),
        # A radius that shrinks.
        ({"epsilon": ht.schedules.LinearRamp(0, 1, 0.2, 0.1)}, 0.0, 0.0),
    ],
)
def test_crown_has_its_weight_and_costs_nothing_without(
    settings, epoch, weight, crown_passes
):
    objective = ht.objectives.CROWNIBP(**settings)
    network = make_network()
    loss = losses(objective, network, epoch=epoch)
    terms, figures = loss.terms, loss.figures
    np.testing.assert_allclose(figures["crown_weight"], weight, rtol=1e-5)
    assert len(crown_passes) == (weight >= 1e-5)
    epsilon = float(figures["epsilon"])
    ibp, crown = (
        ht.bounds.margins(network, X, Y, epsilon, method).numpy()
        for method in ("ibp", "crown_ibp")
    )
    mixed = weight * crown + (1 - weight) * ibp
    expected = np.log1p(np.exp(-mixed).sum(1)).mean()
    np.testing.assert_allclose(terms["robust_ce"], expected, rtol=1e-5)


@pytest.mark.slow
def test_a_constant_radius_traces_no_pass_of_crown(crown_passes):
    network = make_network()
    for epsilon, is_traced in ((0.1, False), (RAMP, True)):
        objective = ht.objectives.CROWNIBP(epsilon=epsilon)
        trace = tf.function(
            lambda epoch, objective=objective: (
                losses(objective, network, epoch=epoch).value
            )
        )
        trace.get_concrete_function(tf.TensorSpec((), tf.float32))
        assert bool(crown_passes) == is_traced
