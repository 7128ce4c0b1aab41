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


@pytest.mark.parametrize(
    "path, shown",
    [
        ("gs://a/run", "--output_dir=gs://a/run"),
        # Not the path that the user gave, but its host.
        ("s3://b/.run.commit", "--exclude=s3://b/run"),
        ("s3://bb/run", "s3://bb/run"),
    ],
)
def test_hosts_without_an_answer_are_named_by_their_flag(path, shown, values):
    values(["x", "--output_dir=gs://a/run", "--exclude=s3://b/run"])
    message = " cannot be reached: no answer"
    assert in_flags(path + message, values) == shown + message
    values.unparse_flags()
