"""Intervals of accuracies."""

import pytest

import hydra_tf as ht
from hydra_tf.evaluation import wilson_interval


@pytest.mark.parametrize(
    ("count", "num_examples", "interval"),
    [
        # Newcombe, 1998, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_interval_is_that_of_the_literature(count, num_examples, interval):
    found = wilson_interval(count, num_examples)
    assert found == pytest.approx(interval, abs=6e-5)
    low, high = wilson_interval(num_examples - count, num_examples)
    assert (1 - high, 1 - low) == pytest.approx(interval, abs=6e-5)


@pytest.mark.parametrize("num_examples", [1, 7, 10_000])
def test_interval_stays_within_0_and_1(num_examples):
    low, high = wilson_interval(0, num_examples)
    assert low == 0 < high < 1
    low, high = wilson_interval(num_examples, num_examples)
    assert 0 < low < high == 1


def test_more_confidence_is_wider():
    low, high = wilson_interval(4, 10)
    lower, higher = wilson_interval(4, 10, confidence=0.99)
    assert lower < low < 0.4 < high < higher


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 0), "`num_examples` must be an integer >= 1"),
        ((3, 2), "`count` must be from 0 to the number of images"),
        ((-1, 2), "`count`"),
        ((1, 2, 95), "`confidence` must be between 0 and 1"),
    ],
)
def test_mistakes(arguments, words):
    with pytest.raises(ht.InputError, match=words):
        wilson_interval(*arguments)
