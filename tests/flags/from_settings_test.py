"""Flags from settings: what they take, how they answer what is wrong."""

import pytest
from absl import flags

from flags import from_settings
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Names
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import OpenChoice
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry

EPSILON = Number(name="epsilon", default=0.1, lower=0, upper=1, help="Radius.")
STEPS = Count(
    name="steps", flag="num_steps", default=10, lower=1, help="Steps."
)
NORM = Choice(name="norm", default="linf", choices=("linf", "l2"), help="Norm.")
START = Switch(name="start", default=True, help="Random start.")
RATES = OpenChoice(
    name="rates",
    choices=("erk",),
    others=lambda value: value in (0.25, 0.5),
    or_else="a share",
    help="Rates.",
)
NAMES = Names(name="names", default=(), choices=("a", "b"), help="Names.")


@pytest.fixture
def values():
    """Flags of one's own."""
    return flags.FlagValues()


def parse(values, *arguments):
    values(["binary", *arguments])


@pytest.mark.parametrize(
    "setting, argument, value",
    [
        (EPSILON, "--epsilon=8/255", 8 / 255),
        (EPSILON, "--epsilon=1e-3", 1e-3),
        (EPSILON, "--epsilon= 1 / 4 ", 0.25),
        (EPSILON, "--epsilon=0", 0.0),
        (STEPS, "--num_steps=7", 7),
        (STEPS, f"--num_steps={2**31 - 1}", 2**31 - 1),
        (NORM, "--norm=l2", "l2"),
        (START, "--nostart", False),
        (RATES, "--rates=erk", "erk"),
        (RATES, "--rates=1/4", 0.25),
        (NAMES, "--names=b, a,b", ["b", "a"]),
        (NAMES, "--names=", []),
    ],
)
def test_values_are_parsed(setting, argument, value, values):
    holder = from_settings.define(setting, flag_values=values)
    parse(values, argument)
    assert holder.value == value
    values.unparse_flags()


@pytest.mark.parametrize("setting", [EPSILON, STEPS, NORM, START, RATES, NAMES])
def test_default_stands_where_no_value_is_given(setting, values):
    holder = from_settings.define(setting, flag_values=values)
    parse(values)
    assert holder.value == setting.default


@pytest.mark.parametrize(
    "setting, argument, words",
    [
        (EPSILON, "--epsilon=8", r"--epsilon=8: must be a number in \[0, 1\]"),
        (EPSILON, "--epsilon=8/0", r"or a ratio such as 8/255 \(Radius\)$"),
        (EPSILON, "--epsilon=nan", "must be a number"),
        (EPSILON, "--epsilon=True", "must be a number"),
        (STEPS, "--num_steps=0", "--num_steps=0: must be a whole number >= 1"),
        (STEPS, "--num_steps=1.5", "must be a whole number"),
        (STEPS, f"--num_steps={2**31}", "At most 2147483647 is possible"),
        (NORM, "--norm=l3", "--norm=l3: must be one of 'linf', 'l2'$"),
        (NORM, "--norm=lin", "one of 'linf', 'l2'. Did you mean 'linf'"),
        (RATES, "--rates=1.5", "one of 'erk', or a share$"),
        (NAMES, "--names=a,c", "out of 'a', 'b'"),
    ],
)
def test_wrong_values_are_answered_in_one_line(
    setting, argument, words, values
):
    from_settings.define(setting, flag_values=values)
    with pytest.raises(flags.Error, match=words) as error:
        parse(values, argument)
    assert "\n" not in str(error.value)


def test_settings_of_the_same_flag_share_it():
    other = Number(
        name="epsilon", default=8 / 255, lower=0, help="Another radius."
    )
    registry = Registry(
        "thing",
        [
            Entry(name="a", target=None, settings=(EPSILON, NORM)),
            Entry(name="b", target=None, settings=(EPSILON, NORM)),
            Entry(name="c", target=None, settings=(other,)),
        ],
    )
    shared = {
        name: from_settings.shared([(e.name, s) for e, s in users])
        for name, users in registry.settings().items()
    }
    assert shared["epsilon"].default is None
    assert shared["norm"].default is None
    assert shared["norm"].help == "a, b: Norm. By default linf."
    assert shared["epsilon"].help == (
        "a, b: Radius. c: Another radius. By default 0.1 (a, b), 8/255 (c)."
    )
    parser = from_settings.SettingParser(EPSILON, other)
    # What any of them takes; the entry itself checks its own.
    assert parser.parse("3") == 3
