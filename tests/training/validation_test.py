"""Which attack measures a network after every epoch."""

import pytest

import hydra_tf as ht
from hydra_tf.training import validation_attack


@pytest.mark.parametrize(
    "objective, radius, threat_model",
    [
        (ht.objectives.TRADES(epsilon=0.1, num_steps=2), 0.1, "linf"),
        (ht.objectives.FGSM(epsilon=0.2), 0.2, "linf"),
        (ht.objectives.Madry(epsilon=0.5, threat_model="l2"), 0.5, "l2"),
        # The full radius, from the first epoch on.
        (
            ht.objectives.IBP(epsilon=ht.schedules.LinearRamp(1, 3, 0.0, 0.3)),
            0.3,
            "linf",
        ),
    ],
)
def test_it_is_pgd_within_the_radius_of_the_objective(
    objective, radius, threat_model
):
    attack = validation_attack(objective)
    assert isinstance(attack, ht.objectives.Madry)
    assert attack.random_start and attack.num_steps == 10
    assert (attack.epsilon, attack.threat_model) == (radius, threat_model)
    # Another radius, in the objective's norm.
    attack = validation_attack(objective, 0.05, "l2")
    assert (attack.epsilon, attack.threat_model) == (0.05, threat_model)


def test_without_a_radius_there_is_none_but_one_that_is_given():
    natural = ht.objectives.Natural()
    assert validation_attack(natural) is None
    attack = validation_attack(natural, 0.7, "l2")
    assert (attack.epsilon, attack.threat_model) == (0.7, "l2")
    # Whose noise it is that counts.
    smoothing = ht.objectives.RandomizedSmoothing(sigma=0.1)
    assert validation_attack(smoothing, 0.7, "l2") is None


def test_images_have_the_range_of_the_objective():
    objective = ht.objectives.Madry(epsilon=20, clip=(0, 255))
    assert validation_attack(objective).clip == (0, 255)
