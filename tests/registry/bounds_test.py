"""Tests of the table of methods of bounds."""

import pytest

from hydra_tf import bounds
from hydra_tf.errors import InputError
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.objectives import OBJECTIVES


def test_methods_are_those_of_the_table():
    assert BOUNDS.names == ("ibp", "crown_ibp", "crown", "symbolic", "best")
    assert bounds.METHODS == BOUNDS.names


def test_rows_say_what_a_method_is_and_costs():
    assert all(entry.help for entry in BOUNDS)
    assert {entry.name: entry.passes_from for entry in BOUNDS} == {
        "ibp": "none",
        "crown_ibp": "outputs",
        "crown": "neurons",
        "symbolic": "neurons",
        "best": "neurons",
    }


def test_objectives_name_methods_of_the_table():
    named = {name for entry in OBJECTIVES for name in entry.certified_by}
    assert named - {"smoothing"} <= set(BOUNDS.names)


def test_unknown_methods_are_refused():
    with pytest.raises(InputError, match="unknown method of bounds 'crwn'"):
        BOUNDS.entry("crwn")
