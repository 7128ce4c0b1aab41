"""How figures are shown to people."""

import pytest

from hydra_tf import text


@pytest.mark.parametrize(
    "seconds, shown",
    [(4.4, "4 s"), (185, "3:05 min"), (7800, "2:10:00 h"), (59.6, "1:00 min")],
)
def test_duration(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    "num_bytes, shown",
    [
        (500, "500 bytes"),
        (347_400, "347.4 kB"),
        (999_960, "1.0 MB"),
        (2_500_000, "2.5 MB"),
        (3_000_000_000, "3.0 GB"),
        (None, "-"),
    ],
)
def test_size(num_bytes, shown):
    assert text.size(num_bytes) == shown


def test_percent():
    assert text.percent(0.7861) == "78.6 %"
    assert text.percent(0.001) == "0.100 %"
    assert text.percent(None) == "-"


def test_percent_range():
    assert text.percent_range(0, 0.0861) == "0.0 to 8.6 %"


def test_radius_of_whole_levels_is_a_ratio():
    assert text.radius(8 / 255) == "8/255 (0.03137)"
    assert text.radius(0.1) == "0.1"


def test_markdown_table_leaves_out_empty_columns():
    shown = text.markdown_table(["a", "b", "c"], [["x|y", "-", "1"]])
    assert shown.splitlines() == ["| a | c |", "| --- | --- |", "| x\\|y | 1 |"]


def test_columns_are_aligned():
    shown = text.table(["a", "long name"], [["first", "1"], ["x", "22"]])
    assert shown.splitlines() == [
        "a      long name",
        "-----  ---------",
        "first          1",
        "x             22",
    ]


def test_some_names():
    assert text.some_names(["a", "b", "c"]) == "'a', 'b', 'c'"
    assert text.some_names(["a", "b", "c"], most=1) == "'a' and 2 more"


@pytest.mark.parametrize(
    ("radius", "shown"),
    [(2 / 255, "Linf 2/255"), (0.2, "Linf 0.2"), (1 / 3, "Linf 85/255")],
)
def test_radii_are_shown_as_people_write_them(radius, shown):
    assert text.ball("linf", radius) == shown
