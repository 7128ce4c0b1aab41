"""Settings of the objectives that attack by several gradient steps."""

from hydra_tf import objectives


def test_step_size_follows_epsilon_unless_given():
    assert objectives.TRADES().step_size == 2 / 255
    assert objectives.Madry(epsilon=0.4).step_size == 0.1
    l2 = objectives.TRADES(epsilon=0.5, num_steps=10, threat_model="l2")
    assert l2.step_size == 0.1
    assert objectives.MART(step_size=0.3).step_size == 0.3
