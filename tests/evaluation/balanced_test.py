"""Accuracy by class."""

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.evaluation import balanced_accuracy
from hydra_tf.evaluation.balanced import is_imbalanced


def test_every_class_counts_the_same():
    labels = np.array([3, 3, 3, 3, 8, 8, 5])
    right = np.array([1, 1, 1, 0, 1, 0, 0], bool)
    assert balanced_accuracy(labels, right) == (3 / 4 + 1 / 2 + 0) / 3


def test_is_the_plain_accuracy_where_classes_are_equally_frequent():
    labels = np.arange(12) % 3
    right = np.arange(12) < 7
    np.testing.assert_allclose(balanced_accuracy(labels, right), 7 / 12)


def test_one_class_and_one_image():
    assert balanced_accuracy([4, 4], [True, False]) == 0.5
    assert balanced_accuracy([4], [True]) == 1
    assert not is_imbalanced([4])


def test_imbalance_is_a_ratio_of_two():
    assert is_imbalanced([0, 0, 1])
    assert not is_imbalanced([0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "right"), [([0, 1], [True]), ([], []), ([[0]], [[True]])]
)
def test_mistakes(labels, right):
    with pytest.raises(ht.InputError, match="one value for each of `labels`"):
        balanced_accuracy(labels, right)
