"""Ordinary training against the golden loss."""

import numpy as np

from hydra_tf import objectives
from tests import golden
from tests.tiny_net import tiny_net


def test_natural_matches_golden():
    arrays = golden.load("pgd")
    model = tiny_net(arrays, masked=True)
    loss = objectives.Natural()(model, arrays["x"], arrays["y"])
    np.testing.assert_allclose(loss, arrays["nat_loss"], rtol=1e-5)
