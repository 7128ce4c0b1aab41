"""Tables of what the library offers by name."""

import dataclasses

import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
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


def test_a_child_of_an_entry_shares_its_settings_and_attributes():
    class Child(Custom):
        loud = True

        def __init__(self, rate=0.25, extra=1):
            super().__init__(rate)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Loud(Entry):
        loud: bool = False
        size: int = 0

    table = Registry("thing", (), Loud)
    rate = Number(name="rate", help="how fast", default=0.5, upper=1)
    table.add(Loud(name="custom", target=Custom, settings=(rate,), size=3))
    table.register("child")(Child)
    child = table.entry("child")
    assert child == table.entry_of(Child)
    assert (child.loud, child.size) == (True, 3)
    assert child.settings == (
        dataclasses.replace(rate, default=0.25),
        Count(name="extra", help="", default=1),
    )
    assert table.entry_of(Custom).name == "custom"


def test_settings_are_listed_by_the_flags_that_set_them():
    one = Number(name="rate", help="", flag="speed")
    other = Number(name="inner", help="", flag=None)
    entry = Entry(name="a", target=Custom, settings=(one, other))
    assert Registry("thing", [entry]).settings() == {"speed": [(entry, one)]}


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


def test_module_is_no_entry():
    with pytest.raises(InputError, match="must be a class or a function"):
        OBJECTIVES.entry("os:path")


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
