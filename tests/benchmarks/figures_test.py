"""Tests of `benchmarks.figures`."""

from benchmarks import figures


def test_mean_and_deviation_in_per_cent():
    assert figures.percent([0.80, 0.81, 0.82]) == "81.0 +- 1.0"
    assert figures.percent(iter((0.819,))) == "81.9"
