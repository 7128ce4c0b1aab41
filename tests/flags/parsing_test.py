"""Numbers, counts and names on the command line."""

import pytest

from flags import parsing
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number


def number(hint="", **bounds):
    setting = Number(name="x", help="", **bounds)
    return parsing.SettingParser(setting, hint=hint)


def count(lower=0):
    return parsing.SettingParser(Count(name="x", help="", lower=lower))


def name(*choices, **parsing_options):
    setting = Choice(name="x", help="", choices=choices)
    return parsing.SettingParser(setting, **parsing_options)


@pytest.mark.parametrize(
    "text, value",
    [("8/255", 8 / 255), ("0.15", 0.15), (" 1 / 4 ", 0.25), ("0", 0.0)],
)
def test_number_may_be_a_ratio(text, value):
    assert number(lower=0).parse(text) == value


@pytest.mark.parametrize(
    "text", ["95", "0", "-0.1", "nan", "inf", "x", "1/0", "", "1/2/3", "1.0001"]
)
def test_number_out_of_range_says_what_is_right(text):
    parser = number(
        lower=0, upper=1, exclude_lower=True, hint="the fraction of weights"
    )
    with pytest.raises(
        ValueError,
        match=r"must be a number in \(0, 1\]( or a .*)?, the fraction of w",
    ):
        parser.parse(text)


def test_text_that_is_no_number_may_be_meant_as_a_ratio():
    with pytest.raises(ValueError, match=r"0, 1\] or a ratio such as 8/255"):
        number(lower=0, upper=1).parse("8:255")


@pytest.mark.parametrize("value", [True, None, [0.5]])
def test_value_of_another_type_is_no_number(value):
    with pytest.raises(ValueError, match="must be a finite number"):
        number().parse(value)


@pytest.mark.parametrize("text", ["1.5", "-1", "", "two", "1e3"])
def test_count_is_a_whole_number(text):
    with pytest.raises(ValueError, match="must be a whole number >= 0"):
        count().parse(text)


def test_count_larger_than_an_int32_names_the_bound():
    assert count().parse(str(2**31 - 1)) == 2**31 - 1
    with pytest.raises(ValueError, match="at most 2147483647"):
        count().parse(str(2**31))


def test_name_close_to_a_valid_one_is_suggested():
    parser = name("trades", "mart", "madry")
    assert parser.parse("mart") == "mart"
    with pytest.raises(ValueError, match="Did you mean 'trades'?"):
        parser.parse("TRADE")


def test_name_may_be_accepted_by_a_rule():
    parser = name(
        "erk",
        or_else="a .json file",
        accepts=lambda text: text.endswith(".json"),
    )
    assert parser.parse("x.json") == "x.json"
    with pytest.raises(ValueError, match="one of 'erk' or a .json file"):
        parser.parse("x.yaml")


def test_names_are_split_and_kept_once():
    parser = parsing.ListParser(name("pgd", "fgsm"))
    assert parser.parse("fgsm, pgd,fgsm") == ["fgsm", "pgd"]
    assert parser.parse("") == []
    with pytest.raises(ValueError, match="must be one of 'pgd', 'fgsm'"):
        parser.parse("pgd,cw")


def test_numbers_are_sorted_and_kept_once():
    parser = parsing.ListParser(number(lower=0))
    assert parser.parse("2/255, 0.5,0,1/2") == [0, 2 / 255, 0.5]
    for text in ("", "1,,2", "1,-2", "1;2"):
        with pytest.raises(ValueError, match="a number >= 0"):
            parser.parse(text)


def test_flag_is_named_checked_and_explained_by_its_setting():
    values = parsing.flags.FlagValues()
    setting = Count(
        name="n", flag="num_things", default=3, lower=1, help="Things."
    )
    holder = parsing.DEFINE_setting(setting, flag_values=values)
    values(["binary"])
    assert holder.value == 3
    values(["binary", "--num_things=5"])
    assert holder.value == 5
    with pytest.raises(
        parsing.flags.IllegalFlagValueError,
        match="flag --num_things=0: must be a whole number >= 1",
    ):
        values(["binary", "--num_things=0"])
    assert "Things." in values.get_help()
    assert "(a whole number >= 1)" in values.get_help()
