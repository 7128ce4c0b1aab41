"""Properties in VNN-LIB."""

import re

import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.export import export_vnnlib


def test_a_property_says_ball_and_label(tmp_path):
    images = np.array([[[[0.05], [0.5]]], [[[1.0], [0.25]]]], np.float32)
    first, second = export_vnnlib(
        tmp_path, images, [2, 0], epsilon=0.1, num_classes=3, timeout=60
    )
    text = first.read_text()
    bounds = {
        (sign, int(index)): float(value)
        for sign, index, value in re.findall(
            r"\(assert \(([<>])= X_(\d+) ([\d.]+)\)\)", text
        )
    }
    assert bounds == pytest.approx(
        {(">", 0): 0.0, ("<", 0): 0.15, (">", 1): 0.4, ("<", 1): 0.6}
    )
    assert re.findall(r"\(>= Y_(\d) Y_(\d)\)", text) == [("0", "2"), ("1", "2")]
    assert text.count("declare-const") == 2 + 3
    assert text.count("(") == text.count(")")
    assert "X_0 1.0))" in second.read_text()
    assert (tmp_path / "instances.csv").read_text() == (
        "network.onnx,image0.vnnlib,60\nnetwork.onnx,image1.vnnlib,60\n"
    )


def test_wrong_arguments_are_named(tmp_path):
    images = np.zeros((1, 2, 2, 1), np.float32)
    arguments = {"epsilon": 0.1, "num_classes": 3}
    for message, wrong in {
        "`epsilon`": {"epsilon": 0.0},
        "`labels`": {"labels": [3]},
        "`images`": {"images": images + 2},
    }.items():
        given = {"images": images, "labels": [0], **arguments, **wrong}
        with pytest.raises(InputError, match=message):
            export_vnnlib(tmp_path, **given)
    assert not list(tmp_path.iterdir())
