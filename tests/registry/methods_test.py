"""The tables of pruning are complete."""

import pytest

from hydra_tf.registry.allocations import ALLOCATIONS
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.methods import SETTINGS
from hydra_tf.registry.scores import SCORES
from hydra_tf.registry.settings import Names

REGISTRIES = (METHODS, ALLOCATIONS, SCORES)


@pytest.mark.parametrize(
    ("registry", "name"),
    [(registry, name) for registry in REGISTRIES for name in registry.names],
)
def test_every_name_stands_for_a_function(registry, name):
    assert callable(registry.load(name))
    assert registry.entry(name).help


def test_flags_are_named_once():
    names = [setting.flag_name for setting in SETTINGS]
    assert len(set(names)) == len(names)


def test_names_are_a_list_or_one():
    names = Names(name="exclude", help="", default=())
    assert names.check("a") == ("a",)
    assert names.check(["a", "b"]) == ("a", "b")
