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
        (347_400, "347 kB"),
        (999_600, "1.0 MB"),
        (2_500_000, "2.5 MB"),
        (None, "-"),
    ],
)
def test_size(num_bytes, shown):
    assert text.size(num_bytes) == shown


def test_percent():
    assert text.percent(0.7861) == "78.6 %"
    assert text.percent(None) == "-"


def test_columns_are_aligned():
    shown = text.table(["a", "long name"], [["first", "1"], ["x", "22"]])
    assert shown.splitlines() == [
        "a      long name",
        "-----  ---------",
        "first          1",
        "x             22",
    ]
