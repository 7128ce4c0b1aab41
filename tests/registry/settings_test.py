"""Types and ranges of settings."""

import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Fraction
from hydra_tf.registry.settings import Limits
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Numbers
from hydra_tf.registry.settings import Radius
from hydra_tf.registry.settings import Switch


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
        (
            Limits(name="clip", help="", default=(0, 1)),
            (-1.0, 1.0),
            (1.0, 1.0),
            r"`clip` must be a pair \(smallest, largest\), or None",
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


@pytest.mark.parametrize(
    "text", ["95", "0", "-0.1", "nan", "inf", "x", "1/0", "", "1/2/3", "1.0001"]
)
def test_text_of_no_number_in_range_is_refused(text):
    number = Number(name="n", help="", lower=0, upper=1, exclude_lower=True)
    assert number.check(number.parse("1/2")) == 0.5
    with pytest.raises(InputError, match=r"`n` must be a number in \(0, 1\]"):
        number.check(number.parse(text))


def test_fraction_in_per_cent_is_answered_with_the_fraction():
    part = Fraction(name="part", help="", exclude_lower=True)
    assert part.check(0.9) == 0.9
    for value in (90, "90%"):
        with pytest.raises(InputError, match=r"90 % is 0\.9$"):
            part.check(value)
    for value in (0, 0.5, -90, 101, "nan", "%", None, [90]):
        assert part.hint(value) == "", value


@pytest.mark.parametrize("text", ["1.5", "-1", "", "two", "1e3"])
def test_text_of_no_whole_number_is_refused(text):
    count = Count(name="n", help="", default=1)
    assert count.check(count.parse("0")) == 0
    with pytest.raises(InputError, match="`n` must be a whole number >= 0"):
        count.check(count.parse(text))


def test_numbers_rise_each_once():
    numbers = Numbers(name="radii", help="", lower=0)
    assert numbers.check(numbers.parse("2/255, 0.5,0,1/2")) == (0, 2 / 255, 0.5)


@pytest.mark.parametrize("text", ["", "1,,2", "1,-2", "1;2"])
def test_text_of_other_than_numbers_is_refused(text):
    numbers = Numbers(name="radii", help="", lower=0)
    with pytest.raises(InputError, match="`radii` must be numbers, each a"):
        numbers.check(numbers.parse(text))


def test_what_is_known_later_is_not_checked():
    number = Number(name="n", help="", default=1.0, lower=0)
    tensor = np.ones(1)
    assert number.check(tensor) is tensor
    assert number.check(max) is max
    with pytest.raises(InputError, match=r"Received: n=\[1.0\]"):
        number.check([1.0])
    with pytest.raises(InputError, match="`form` must be one of"):
        Choice(name="form", help="", default="a", choices=("a",)).check(max)


def test_a_setting_without_a_flag_has_no_flag_name():
    assert Number(name="n", help="").flag_name == "n"
    assert Number(name="n", help="", flag="rate").flag_name == "rate"
    assert Number(name="n", help="", flag=None).flag_name is None


def test_radius_is_within_the_range_of_images():
    epsilon = Radius(name="epsilon", help="", default=0.1)
    assert epsilon.check_within(8, "l2") == 8
    assert epsilon.check_within(8, "linf", None) == 8
    assert epsilon.check_within(8, "linf", (0, 255)) == 8
    assert epsilon.check_within(1, "linf") == 1
    with pytest.raises(InputError, match="For 8 of 255 levels pass 8/255"):
        epsilon.check_within(8, "linf")
    with pytest.raises(InputError, match=r"in \[0, 2\] with threat_model=linf"):
        epsilon.check_within(8, "linf", (-1, 1))
    with pytest.raises(InputError, match="a number >= 0"):
        epsilon.check_within(-1, "linf")


def test_limits_of_a_file_are_a_pair_again():
    clip = Limits(name="clip", help="", default=None)
    assert clip.check([0, 1]) == (0, 1)
    assert clip.check(None) is None
    with pytest.raises(InputError, match="`clip` must be a pair"):
        clip.check((1, 0))
