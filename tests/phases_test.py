"""The phases by name."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from hydra_tf.phases import check_phase


def test_phases_come_in_their_order():
    assert PHASES == ("pretrain", "prune", "finetune")


@pytest.mark.parametrize("phase", [*PHASES, None])
def test_phase_or_none_passes(phase):
    check_phase(phase)


def test_misspelt_phase_is_named():
    with pytest.raises(InputError, match="Did you mean 'finetune'.*'finetun'"):
        check_phase("finetun")
