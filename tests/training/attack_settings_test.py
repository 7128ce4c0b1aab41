"""What makes the attacks of training cheaper, and for which objectives."""

import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError

MADRY = ht.objectives.Madry(epsilon=0.1, num_steps=4)


class Own(ht.objectives.Objective):
    """An attack that can start anywhere."""

    def perturb(self, model, x, y, seed=None, start=None):
        return x if start is None else start


def phase(objective, epochs=10, **settings):
    return ht.training.Phase(
        name="pretrain",
        epochs=epochs,
        objective=objective,
        attacks=ht.training.AttackSettings(**settings),
    )


def test_ramp_takes_a_share_of_the_phase():
    settings = ht.training.AttackSettings(num_steps_ramp=0.5)
    assert settings.ramped(MADRY, 12).full_from_epoch == 6.0
    assert settings.ramped(MADRY, 0) is MADRY
    assert ht.training.AttackSettings().ramped(MADRY, 12) is MADRY


@pytest.mark.parametrize(
    "objective", [MADRY, ht.objectives.FGSM(), ht.objectives.MART(), Own()]
)
def test_attacks_with_a_start_can_be_warm(objective):
    assert phase(objective, warm_start=True).attacks.warm_start


@pytest.mark.parametrize("name", ["natural", "ibp", "smoothing"])
def test_without_attack_nothing_is_warm_or_ramps(name):
    objective = ht.objectives.create(name)
    with pytest.raises(InputError, match="`warm_start` needs an objective"):
        phase(objective, warm_start=True)
    with pytest.raises(InputError, match="`num_steps_ramp`=0.5 needs an obj"):
        phase(objective, num_steps_ramp=0.5)


def test_record_tells_with_from_without():
    # A name that one of two records lacks is not compared.
    plain = phase(MADRY).record()
    assert (plain["warm_start"], plain["num_steps_ramp"]) == (False, 0.0)
    both = phase(MADRY, warm_start=True, num_steps_ramp=0.5).record()
    assert (both["warm_start"], both["num_steps_ramp"]) == (True, 0.5)
    # The ramp's schedule follows from the two.
    assert both["num_steps"] == 4
