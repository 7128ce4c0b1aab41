"""The wide residual networks equal the originals."""

import numpy as np
import pytest

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.models import wide_resnet
from tests import golden
from tests.models import reference


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # The originals' definitions, counted in PyTorch, without the block
        # that they build and never call; 36.5 M and 46.2 M are well known.
        ("wrn_28_1", 369498),
        ("wrn_28_4", 5849050),
        ("wrn_28_10", 36479194),
        ("wrn_34_10", 46160474),
        ("wrn_40_2", 2243546),
    ],
)
def test_trainable_parameter_count(name, count):
    model = getattr(models, name)()
    assert model.name == name
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == count


@pytest.mark.parametrize("name", ["wrn_28_1", "wrn_28_4", "wrn_40_2"])
def test_logits_equal_the_original_network(name):
    expected = golden.load("models")[f"{name}_32"]
    logits = reference.logits(models.create(name, (32, 32, 3), 10))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-2)


def test_only_units_that_change_the_width_have_a_convolutional_shortcut():
    def shortcuts(name):
        return [
            layer.name
            for layer in models.create(name, (8, 8, 3), 10).layers
            if layer.name.endswith("_shortcut")
        ]

    later = ["block2_unit1_shortcut", "block3_unit1_shortcut"]
    assert shortcuts("wrn_28_1") == later
    assert shortcuts("wrn_28_4") == ["block1_unit1_shortcut", *later]


@pytest.mark.parametrize("depth", [4, 9, 27])
def test_impossible_depth_is_named(depth):
    with pytest.raises(InputError, match=f"`depth` .* depth={depth}"):
        wide_resnet.wide_resnet(
            (8, 8, 1), 2, name="net", depth=depth, width_factor=1
        )
