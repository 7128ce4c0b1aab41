"""Tests for hydra_tf.json_shape."""

import pytest

from hydra_tf.json_shape import mismatch

SHAPE = {
    "name": str,
    "epochs?": [{"epoch": int, "seconds?": float, str: (float, None)}],
    "free?": object,
}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a"},
        {"name": "a", "unnamed": [1]},
        {"name": "a", "epochs": [], "free": None},
        {"name": "a", "epochs": [{"epoch": 1, "seconds": 2, "loss": None}]},
    ],
    ids=str,
)
def test_values_of_the_shape(value):
    assert mismatch(value, SHAPE) is None


@pytest.mark.parametrize(
    "value, words",
    [
        ([], "it must be an object, not a list"),
        (None, "it must be an object, not null"),
        ({}, "it lacks `name`"),
        ({"name": 1.5}, "`name` must be a string, not a number"),
        ({"name": "a", "epochs": {}}, "`epochs` must be a list, not an object"),
        ({"name": "a", "epochs": [{}]}, "`epochs[0]` lacks `epoch`"),
        (
            {"name": "a", "epochs": [{"epoch": True}]},
            "`epochs[0].epoch` must be an integer, not true or false",
        ),
        (
            {"name": "a", "epochs": [{"epoch": 1}, {"epoch": 2, "x": "y"}]},
            "`epochs[1].x` must be a number, not a string",
        ),
    ],
    ids=str,
)
def test_first_value_of_another_shape_is_named(value, words):
    assert mismatch(value, SHAPE) == words
