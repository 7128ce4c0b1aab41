"""Words that help to mend a mistake."""

import pytest

from hydra_tf.errors import close_matches


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TRADE", "Did you mean 'trades'?"),
        ("mar", "Did you mean 'mart'?"),
        ("zzz", "Choose from: mart, trades."),
    ],
)
def test_close_names_are_suggested_or_all_listed(name, words):
    assert close_matches(name, ["trades", "mart"]) == words


def test_names_that_are_much_farther_off_are_left_out():
    names = ["density", "density_ramp"]
    assert close_matches("densty", names) == "Did you mean 'density'?"
