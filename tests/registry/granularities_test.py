"""Names of granularities, and what is none."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry.granularities import check_granularity
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


@pytest.mark.parametrize(
    "value",
    ["weight", "channel", "filter", "head", "neuron", "1:2", "2:4", "3:16"],
)
def test_granularities(value):
    check_granularity(value)


@pytest.mark.parametrize(
    "value",
    ["channels", "", None, 2, "0:4", "4:4", "4:2", "2:4:8", "2 : 4", "-1:4"],
)
def test_other_values_are_clear_errors(value):
    with pytest.raises(
        InputError,
        match="`granularity` must be .* or N:M with 0",
    ):
        check_granularity(value)


def test_the_error_names_the_argument():
    with pytest.raises(InputError, match="`kind` must .* Received: kind='x'"):
        check_granularity("x", "kind")


def test_n_and_m():
    assert n_of_m("2:4") == (2, 4)
    assert is_n_of_m("2:4")
    assert not is_n_of_m("weight")
    assert not is_n_of_m(2)
    with pytest.raises(InputError, match="'2/4' is not of the form N:M"):
        n_of_m("2/4")
