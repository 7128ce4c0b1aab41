"""Tables of what the library offers by name."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry
from hydra_tf.registry.table import import_object
from hydra_tf.registry.table import settings_of


class Custom:
    """An entry from outside.

    More about it.
    """

    def __init__(self, rate=0.5, steps=3, shape="box", exact=False):
        self.settings = (rate, steps, shape, exact)


@pytest.fixture
def registry():
    return Registry("thing", [Entry(name="path", target="os.path:join")])


def test_entry_is_imported_when_it_is_asked_for(registry):
    assert registry.load("path")("a", "b") == "a/b"


def test_unknown_name_is_answered_with_what_is_like_it(registry):
    with pytest.raises(InputError, match="unknown thing 'pat'.*'path'"):
        registry.entry("pat")


def test_own_object_is_understood_with_its_settings(registry):
    entry = registry.entry(f"{__name__}:Custom")
    assert entry.load() is Custom
    assert entry.help == "An entry from outside."
    assert [type(setting) for setting in entry.settings][:2] == [Number, Count]


def test_register_adds_an_entry(registry):
    registry.register("custom", help="one of ours")(Custom)
    assert registry.names == ("path", "custom")
    assert registry.load("custom") is Custom


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.at.all:X", "module 'nowhere.at.all' cannot be imported"),
        ("os.path:joint", "has no 'joint'. Did you mean 'join'"),
        ("os.path", "must be of the form package.module:name"),
    ],
)
def test_wrong_path_is_named(path, message):
    with pytest.raises(InputError, match=message):
        import_object(path)


@pytest.mark.parametrize(
    ("setting", "right", "wrong", "message"),
    [
        (
            Number(name="beta", help="", lower=0, upper=1, exclude_upper=True),
            0.5,
            1,
            r"`beta` must be a number in \[0, 1\). Received: beta=1",
        ),
        (Number(name="n", help="", default=1.0), -3, True, "a finite number"),
        (Number(name="n", help=""), 2.0, float("nan"), "a finite number"),
        (Count(name="n", help="", lower=2), 2, 1, "a whole number >= 2"),
        (Count(name="n", help="", default=1), 0, 1.0, "a whole number >= 0"),
        (
            Choice(name="form", help="", default="a", choices=("a", "bold")),
            "a",
            "bald",
            "Did you mean 'bold'",
        ),
        (Switch(name="flag", help="", default=True), False, 1, "True or False"),
    ],
)
def test_setting_checks_type_and_range(setting, right, wrong, message):
    assert setting.check(right) == right
    with pytest.raises(InputError, match=message):
        setting.check(wrong)


def test_none_is_right_where_it_is_the_default():
    assert Number(name="n", help="", lower=0).check(None) is None
    with pytest.raises(InputError, match="`n` must be a number >= 0"):
        Number(name="n", help="", default=1.0, lower=0).check(None)


def test_entry_fills_in_defaults_and_names_unknown_settings():
    trades = OBJECTIVES.entry("trades")
    assert trades.check({"beta": 2.0})["num_steps"] == 10
    with pytest.raises(InputError, match="'betta'. Did you mean 'beta'"):
        trades.check({"betta": 2.0})


def test_settings_follow_the_parent_classes_through_kwargs():
    class Child(Custom):
        def __init__(self, extra=1.0, **kwargs):
            super().__init__(**kwargs)

    names = [setting.name for setting in settings_of(Child)]
    assert names == ["extra", "rate", "steps", "shape", "exact"]


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
