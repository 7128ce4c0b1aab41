"""Where the attacks of TRADES and MART start."""

import numpy as np
import pytest

from hydra_tf import objectives


@pytest.mark.parametrize("name", ["mart", "trades"])
def test_attacks_start_at_a_little_noise_around_the_images(name):
    objective = objectives.create(name, num_steps=0, epsilon=1.0)
    x = np.full((64, 8, 8, 3), 0.5, np.float32)
    y = np.zeros(64, np.int32)

    def model(images):
        return images[:, 0, 0]

    noise = (objective.perturb(model, x, y, seed=1) - x).numpy()
    assert abs(noise.mean()) < 1e-4
    assert abs(noise.std() - 0.001) < 1e-4
    start = objective.perturb(model, x, y, start=x + 0.25)
    np.testing.assert_array_equal(start, x + 0.25)
