"""Which array of a state dict is which."""

import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.torch_checkpoints.state_dict import StateDict


def zeros(*names):
    return {name: np.zeros((2, 3)) for name in names}


def test_common_prefixes_are_left_out():
    arrays = StateDict(zeros("module.1.fc.weight", "module.1.a.0.weight"), "x")
    assert arrays.find("fc.weight") is not None
    assert arrays.find("a.0.weight") is not None
    arrays.check_all_taken()


def test_last_dense_layer_gives_the_classes():
    arrays = zeros("5.weight", "11.weight", "9.weight")
    arrays["11.weight"] = np.zeros((7, 3))
    assert StateDict(arrays, "x").num_classes() == 7


def test_what_no_output_depends_on_may_be_left():
    names = ("bn.num_batches_tracked", "sub_block1.layer.0.conv1.weight")
    StateDict(zeros("fc.weight", *names), "x").find("fc.weight")
    arrays = StateDict(zeros("a.weight", *names), "x")
    with pytest.raises(InputError, match="corresponds to its 'a.weight'"):
        arrays.check_all_taken()
    arrays.take("a.weight", (2, 3))
    arrays.check_all_taken()


def test_numbers_that_are_not_finite_are_refused():
    arrays = zeros("a.weight") | {"fc.popup_scores": np.float32([np.nan])}
    with pytest.raises(InputError, match="'fc.popup_scores' holds values that"):
        StateDict(arrays, "x")
