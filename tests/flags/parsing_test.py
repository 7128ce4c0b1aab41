"""Numbers, counts and names on the command line."""

import pytest

from flags import parsing


@pytest.mark.parametrize(
    "text, value",
    [("8/255", 8 / 255), ("0.15", 0.15), (" 1 / 4 ", 0.25), ("0", 0.0)],
)
def test_number_may_be_a_ratio(text, value):
    assert parsing.NumberParser(lower=0).parse(text) == value


@pytest.mark.parametrize(
    "text", ["95", "0", "-0.1", "nan", "inf", "x", "1/0", "", "1/2/3", "1.0001"]
)
def test_number_out_of_range_says_what_is_right(text):
    parser = parsing.NumberParser(
        lower=0, upper=1, exclude_lower=True, hint="the fraction of weights"
    )
    with pytest.raises(ValueError, match=r"in \(0, 1\], the fraction of weig"):
        parser.parse(text)


def test_number_without_upper_bound_names_the_lower():
    with pytest.raises(ValueError, match="must be at least 0"):
        parsing.NumberParser(lower=0).parse("-1")
    with pytest.raises(ValueError, match="must be above 0"):
        parsing.NumberParser(lower=0, exclude_lower=True).parse("0")


@pytest.mark.parametrize("text", ["1.5", "-1", "", "two", "1e3"])
def test_count_is_a_whole_number(text):
    with pytest.raises(ValueError, match="must be a whole number, at least 0"):
        parsing.CountParser().parse(text)


def test_count_larger_than_an_int32_names_the_bound():
    assert parsing.CountParser().parse(str(2**31 - 1)) == 2**31 - 1
    with pytest.raises(ValueError, match="at most 2147483647"):
        parsing.CountParser().parse(str(2**31))


def test_name_close_to_a_valid_one_is_suggested():
    parser = parsing.NameParser(["trades", "mart", "madry"])
    assert parser.parse("mart") == "mart"
    with pytest.raises(ValueError, match="Did you mean 'trades'?"):
        parser.parse("TRADE")


def test_name_may_be_accepted_by_a_rule():
    parser = parsing.NameParser(
        ["erk"], "a .json file", lambda text: text.endswith(".json")
    )
    assert parser.parse("x.json") == "x.json"
    with pytest.raises(ValueError, match="one of erk or a .json file"):
        parser.parse("x.yaml")


def test_names_are_split_and_kept_once():
    parser = parsing.NamesParser(["pgd", "fgsm"])
    assert parser.parse("fgsm, pgd,fgsm") == ["fgsm", "pgd"]
    assert parser.parse("") == []
    with pytest.raises(ValueError, match="must be one of pgd, fgsm"):
        parser.parse("pgd,cw")


def test_number_may_have_open_ends():
    parser = parsing.NumberParser(0, 1, exclude_lower=True, exclude_upper=True)
    assert parser.parse("0.001") == 0.001
    for text in ("0", "1", "-1"):
        with pytest.raises(ValueError, match=r"must be in \(0, 1\)"):
            parser.parse(text)


def test_numbers_are_sorted_and_kept_once():
    parser = parsing.NumbersParser(lower=0)
    assert parser.parse("2/255, 0.5,0,1/2") == [0, 2 / 255, 0.5]
    for text in ("", "1,,2", "1,-2", "1;2"):
        with pytest.raises(ValueError, match="at least 0"):
            parser.parse(text)
