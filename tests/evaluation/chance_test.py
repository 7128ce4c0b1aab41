"""What is no better than chance."""

import numpy as np
import pytest
from scipy import stats

from hydra_tf.evaluation import chance


def test_chance_is_the_largest_class_or_a_draw():
    assert chance.chance_level(np.arange(20) % 10, 10) == 0.1
    assert chance.chance_level(np.array([1, 1, 1, 0]), 10) == 0.75
    # Few images may lack classes.
    assert chance.chance_level(np.array([3, 4]), 10) == 0.5


@pytest.mark.parametrize("num_examples", [10, 40, 360])
def test_the_bound_is_the_exact_binomial_test(num_examples):
    for count in range(num_examples + 1):
        test = stats.binomtest(count, num_examples, 0.1, alternative="greater")
        assert chance.is_above(count / num_examples, num_examples, 0.1) == (
            test.pvalue < chance.ALPHA
        )


def test_record_names_what_is_not_above():
    figures = {
        "natural_accuracy": 0.9,
        "robust_accuracy": {"pgd": 0.11, "fgsm": 0.5},
    }
    labels = np.arange(100) % 10
    assert chance.record(figures, labels, 10) == {
        "chance_level": 0.1,
        "not_above_chance": ["pgd"],
    }
