"""The table of attacks."""

import pytest

from hydra_tf import attacks
from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.errors import InputError
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.registry.attacks import ATTACKS


@pytest.mark.parametrize("entry", ATTACKS, ids=lambda entry: entry.name)
def test_every_attack_takes_what_its_row_says(entry):
    attack = entry.load()
    assert entry.help
    draws = not entry.minimum_norm
    assert accepts_argument(attack, "seed") == draws
    for name in ("epsilon", "step_size", "num_steps", "num_restarts"):
        if entry.reads(name):
            assert accepts_argument(attack, name)
    for name in entry.fixed:
        assert accepts_argument(attack, name)


def test_attack_from_outside_is_registered():
    @attacks.register("still", help="leaves images as they are")
    def still(model, x, y, *, epsilon):
        del model, y, epsilon
        return x

    try:
        settings = EvaluationSettings(attacks=["still"])
        assert set(settings.attack_records) == {"still"}
        assert ATTACKS.load("still") is still
    finally:
        del ATTACKS._entries["still"]
    with pytest.raises(InputError, match="unknown attack 'still'"):
        EvaluationSettings(attacks=["still"])
