"""What converters print."""

import os
import sys
import warnings

import pytest

from hydra_tf.export.quiet import quiet


def test_nothing_is_seen_of_a_block_and_all_of_what_follows(capfd):
    with pytest.raises(ValueError, match="lost"), quiet():
        sys.stdout.write("a")
        os.write(2, b"b")
        warnings.warn("c", stacklevel=1)
        raise ValueError("lost")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"d")
    sys.stdout.write("e\n")
    assert capfd.readouterr() == ("e\n", "d")
