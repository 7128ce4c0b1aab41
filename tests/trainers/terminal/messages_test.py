"""Messages of the library name flags on the command line."""

import pytest
from absl import flags

from trainers.terminal.messages import in_flags


@pytest.fixture(scope="module")
def values():
    """Flags of a binary."""
    values = flags.FlagValues()
    for name in (
        "output_dir",
        "density",
        "exclude",
        "overwrite",
        "scores_init",
        "symbolic_examples",
    ):
        flags.DEFINE_string(name, None, "", flag_values=values)
    return values


@pytest.mark.parametrize(
    "message, shown",
    [
        ("`density`=0.2 is small", "--density=0.2 is small"),
        ("`folder`=x; pass `overwrite`", "--output_dir=x; pass --overwrite"),
        # The flag of an objective's argument.
        ("`num_examples` must be 1", "--symbolic_examples must be 1"),
        ("`scores='snip'`: no", "--scores_init=snip: no"),
        ("`exclude=['a', 'b']`", "--exclude=a,b"),
        ("`network` has no masks", "`network` has no masks"),
    ],
)
def test_arguments_become_flags_where_there_are_any(message, shown, values):
    assert in_flags(message, values) == shown
