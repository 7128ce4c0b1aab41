"""How figures are shown to people."""

import pytest

from trainers import tables


@pytest.mark.parametrize(
    "seconds, text",
    [(4.4, "4 s"), (185, "3:05 min"), (7800, "2:10:00 h"), (59.6, "1:00 min")],
)
def test_duration(seconds, text):
    assert tables.duration(seconds) == text


@pytest.mark.parametrize(
    "num_bytes, text",
    [
        (347_400, "347 kB"),
        (999_600, "1.0 MB"),
        (2_500_000, "2.5 MB"),
        (None, "-"),
    ],
)
def test_size(num_bytes, text):
    assert tables.size(num_bytes) == text


def test_percent():
    assert tables.percent(0.7861) == "78.6 %"
    assert tables.percent(None) == "-"


def test_columns_are_aligned():
    text = tables.table(["a", "long name"], [["first", "1"], ["x", "22"]])
    assert text.splitlines() == [
        "a      long name",
        "-----  ---------",
        "first          1",
        "x             22",
    ]
