"""Flags of the data set."""

from absl import flags

from flags import data_flags  # noqa: F401  Defines the flags.
from hydra_tf import data


def test_every_data_set_is_named_in_the_help():
    text = flags.FLAGS["dataset"].help
    assert all(name in text for name in data.names())
