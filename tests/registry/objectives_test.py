"""The table of objectives."""

import pytest

from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.table import settings_of


@pytest.mark.parametrize("name", OBJECTIVES.names)
def test_table_agrees_with_the_constructor(name):
    entry = OBJECTIVES.entry(name)
    constructor = {each.name: each for each in settings_of(entry.load())}
    assert {each.name: each.default for each in entry.settings} == {
        each.name: each.default for each in constructor.values()
    }


def test_every_setting_has_a_help_text():
    for entry in OBJECTIVES:
        assert entry.help
        for setting in entry.settings:
            assert setting.help
