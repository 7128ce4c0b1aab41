"""MobileNet has the sizes of the paper, and suits XNNPACK's sparse kernels."""

import re

import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import models


@pytest.mark.parametrize(
    ("name", "width"), [("mobilenet", 1), ("mobilenet_half", 0.5)]
)
def test_parameter_count(name, width):
    model = models.create(name, (32, 32, 3), 10)
    channels = [
        int(width * each)
        for each in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
    ]
    pairs = zip(channels[:-1], channels[1:], strict=True)
    units = sum(9 * a + 4 * a + a * b + 4 * b for a, b in pairs)
    stem = 27 * channels[0] + 4 * channels[0]
    assert model.count_params() == stem + units + channels[-1] * 10 + 10


@pytest.mark.slow
def test_a_sparse_file_is_one_that_xnnpack_has_kernels_for(tmp_path, capsys):
    model = models.mobilenet_half((16, 16, 3), 10)
    exclude = ["stem", "*_depthwise", "logits"]
    masked = ht.to_masked(model, density=0.2, exclude=exclude)
    ht.init_scores(masked, "scaled")
    path = tmp_path / "sparse.tflite"
    ht.export.export_litert(masked, path, sparse=True)
    tf.lite.experimental.Analyzer.analyze(model_path=str(path))
    kinds = re.findall(r"Op#\d+ (\w+)\(", capsys.readouterr().out)
    # See "Sparse Inference" of TensorFlow's XNNPACK delegate.
    assert kinds[:2] == ["PAD", "CONV_2D"]
    assert kinds[-2:] == ["MEAN", "FULLY_CONNECTED"]
    assert kinds.count("DENSIFY") == 13
    assert set(kinds[2:-2]) == {
        "PAD",
        "DEPTHWISE_CONV_2D",
        "DENSIFY",
        "CONV_2D",
    }
    # Strides of 2 come after a PAD, of one on every side.
    assert kinds.count("PAD") == 4
