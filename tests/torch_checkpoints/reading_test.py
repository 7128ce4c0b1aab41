"""Files that cannot be read, with or without PyTorch."""

import sys

import pytest

from hydra_tf.errors import InputError
from hydra_tf.torch_checkpoints import reading


def test_file_is_looked_for_first(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="no.pth.tar does not exist"):
        reading.read_torch_checkpoint(tmp_path / "no.pth.tar")
    with pytest.raises(InputError, match="is a folder"):
        reading.read_torch_checkpoint(tmp_path)


def test_missing_pytorch_is_named_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "x.pth.tar"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="pip install torch"):
        reading.read_torch_checkpoint(path)


def test_tied_values_keep_their_order():
    values = reading.stable_order([2.0, 1.0, 2.0, 1.0])
    assert values.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "Weights only load failed ... Unsupported global: GLOBAL "
            "argparse.Namespace was not an allowed global by default.",
            "pickled object (argparse.Namespace)",
        ),
        ("invalid load key, 'h'.", "no checkpoint of PyTorch"),
    ],
)
def test_reasons_of_pytorch_in_one_line(reason, words):
    assert words in reading._refused(reason)
