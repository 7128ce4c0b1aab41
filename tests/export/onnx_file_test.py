"""ONNX files, run by ONNX Runtime."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.export import export_onnx
from hydra_tf.export import onnx_function
from tests.export import networks


def test_outputs_are_those_of_keras(tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = keras.layers.Activation("gelu")(keras.layers.LayerNormalization()(x))
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    masked = ht.to_masked(keras.Model(inputs, outputs), density=0.3)
    info = export_onnx(masked, tmp_path / "network.onnx")
    assert info.bytes == (tmp_path / "network.onnx").stat().st_size
    images = networks.images(5)
    np.testing.assert_allclose(
        onnx_function(tmp_path / "network.onnx")(images),
        masked(images, training=False),
        atol=1e-5,
    )


def test_two_of_four_lies_along_the_inputs(tmp_path):
    pytest.importorskip("tf2onnx")
    onnx = pytest.importorskip("onnx")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 8)),
            keras.layers.Conv2D(16, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="logits"),
        ]
    )
    masked = ht.to_masked(
        model, granularity="2:4", density=0.5, exclude=["logits"]
    )
    ht.init_scores(masked, "scaled")
    export_onnx(masked, tmp_path / "network.onnx")
    graph = onnx.load(tmp_path / "network.onnx").graph
    (kernel,) = [
        onnx.numpy_helper.to_array(each)
        for each in graph.initializer
        if tuple(each.dims) == (16, 8, 3, 3)
    ]
    # TensorRT wants two zeros in four inputs of each output and position.
    groups = kernel.transpose(0, 2, 3, 1).reshape(-1, 4)
    np.testing.assert_array_equal(np.count_nonzero(groups, axis=1), 2)


def test_an_operation_without_operator_is_named_with_its_layer(tmp_path):
    pytest.importorskip("tf2onnx")

    class Gamma(keras.layers.Layer):
        def call(self, x):
            return tf.math.igamma(tf.abs(x) + 1.0, tf.abs(x))

    model = keras.Sequential(
        [keras.Input((4,)), Gamma(name="odd"), keras.layers.Dense(2)]
    )
    with pytest.raises(InputError, match="no operator for Igamma, of .*odd"):
        export_onnx(model, tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


def test_another_precision_is_refused(tmp_path):
    pytest.importorskip("tf2onnx")
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, dtype="mixed_bfloat16")]
    )
    with pytest.raises(InputError, match="computes in bfloat16"):
        export_onnx(model, tmp_path / "network.onnx")


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    from hydra_tf.export import onnx_file

    onnx_file._extend_tf2onnx.cache_clear()
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'hydra_tf\[onnx\]'"):
        export_onnx(networks.pruned(), tmp_path / "network.onnx")
    with pytest.raises(InputError, match="onnxruntime is not installed"):
        onnx_function(tmp_path / "network.onnx")


def test_the_file_has_its_suffix(tmp_path):
    with pytest.raises(InputError, match="`path` must end in .onnx"):
        export_onnx(networks.pruned(), tmp_path / "network")


@pytest.mark.slow
@pytest.mark.parametrize("name", ht.models.names())
def test_every_network_of_the_library(name, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    shape = (8, 8, 1) if name.startswith("digits") else (32, 32, 3)
    model = ht.models.create(name, shape, 10)
    images = networks.images(2, shape)
    export_onnx(model, tmp_path / "network.onnx")
    np.testing.assert_allclose(
        onnx_function(tmp_path / "network.onnx")(images),
        model(images, training=False),
        atol=1e-4,
    )
