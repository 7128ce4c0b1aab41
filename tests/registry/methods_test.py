"""The table of pruning methods, and the settings of pruning."""

import pytest

from hydra_tf.pruning.courses import Course
from hydra_tf.registry.methods import COURSE_SETTINGS
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.methods import SETTINGS
from hydra_tf.registry.settings import Names


@pytest.mark.parametrize("entry", METHODS, ids=METHODS.names)
def test_every_name_stands_for_a_function(entry):
    assert callable(entry.load())
    assert entry.help
    if entry.is_course:
        assert issubclass(entry.load_course(), Course)
        read = {setting.name for setting in COURSE_SETTINGS}
        assert read | {"scores"} >= set(entry.reads)


def test_flags_are_named_once():
    names = [setting.flag_name for setting in SETTINGS]
    assert len(set(names)) == len(names)


def test_names_are_a_list_or_one():
    names = Names(name="exclude", help="", default=())
    assert names.check("a") == ("a",)
    assert names.check(["a", "b"]) == ("a", "b")
