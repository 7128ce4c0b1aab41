"""TRADES against its formula; images are logits here."""

import numpy as np

from hydra_tf import objectives

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)
PERTURBED = X + RNG.normal(size=(6, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64))
    return exponentials / exponentials.sum(1, keepdims=True)


def test_the_loss_is_that_of_the_paper():
    loss = objectives.TRADES(beta=2.0).losses(lambda x: x, X, Y, PERTURBED)
    p, q = softmax(X), softmax(PERTURBED)
    expected = {
        "natural_ce": -np.log(p[range(6), Y]).mean(),
        "robust_kl": 2.0 * (p * np.log(p / q)).sum(1).mean(),
    }
    assert set(loss.terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(loss.terms[name], value, rtol=1e-5)
