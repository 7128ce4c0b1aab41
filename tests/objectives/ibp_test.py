"""IBP: the loss of the worst logits."""

import numpy as np

import hydra_tf as ht
from tests import golden
from tests.objectives.golden_bounds import LOSS_RTOL
from tests.objectives.golden_bounds import assert_gradients
from tests.objectives.golden_bounds import golden_network
from tests.objectives.golden_bounds import step
from tests.objectives.small_case import X
from tests.objectives.small_case import Y
from tests.objectives.small_case import losses
from tests.objectives.small_case import make_network


def test_the_loss_is_the_cross_entropy_of_the_worst_logits():
    network = make_network()
    loss = losses(ht.objectives.IBP(epsilon=0.05), network)
    margins = ht.bounds.margins(network, X, Y, 0.05, "ibp").numpy()
    logits = np.zeros((12, 3))
    for row, (label, lower) in enumerate(zip(Y, margins, strict=True)):
        logits[row, [c for c in range(3) if c != label]] = -lower
    exponentials = np.exp(logits)
    shares = exponentials[range(12), Y] / exponentials.sum(1)
    np.testing.assert_allclose(
        loss.terms["robust_ce"], -np.log(shares).mean(), rtol=1e-5
    )
    assert loss.figures["certified_accuracy"] == (
        np.mean(ht.bounds.certified(network, X, Y, 0.05, "ibp")),
        1.0,
    )


def test_ibp_is_the_golden_case_without_crown():
    arrays = golden.load("crown_ibp_loss")
    network = golden_network(arrays, "N1", "finetune")
    objective = ht.objectives.IBP(epsilon=float(arrays["cases/eps"][2]))
    terms, _, gradients = step(objective, network, arrays)
    np.testing.assert_allclose(
        terms["robust_ce"], arrays["N1/case2/robust_ce"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, "N1/case2", "finetune")
