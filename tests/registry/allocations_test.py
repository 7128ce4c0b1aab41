"""The table of allocations."""

import inspect

import pytest

from hydra_tf.registry.allocations import ALLOCATIONS
from hydra_tf.registry.allocations import is_file


@pytest.mark.parametrize("entry", ALLOCATIONS, ids=ALLOCATIONS.names)
def test_rule_takes_what_its_row_says(entry):
    taken = inspect.signature(entry.load()).parameters
    assert ("nested" in taken) == entry.nests
    assert entry.help


@pytest.mark.parametrize(
    ("value", "expected"), [("a/b.json", True), ("erk", False), (0.5, False)]
)
def test_files_of_densities_are_known_by_their_suffix(value, expected):
    assert is_file(value) == expected
