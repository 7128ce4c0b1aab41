"""LiteRT files, run by the real interpreter."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.export import export_litert
from hydra_tf.export import litert_function
from tests.export import networks

FORMATS = [
    (quantize, sparse)
    for quantize in ("none", "float16", "dynamic", "int8")
    for sparse in (False, True)
]
# Of logits of about 1.
CLOSE = {"none": 1e-4, "float16": 5e-3, "dynamic": 0.1, "int8": 0.1}


@pytest.fixture(scope="module")
def masked():
    return networks.pruned()


@pytest.mark.parametrize(("quantize", "sparse"), FORMATS)
def test_outputs_are_those_of_keras(masked, tmp_path, quantize, sparse):
    path = tmp_path / "network.tflite"
    info = export_litert(
        masked,
        path,
        quantize=quantize,
        sparse=sparse,
        representative=networks.images(seed=1),
    )
    assert info.bytes == path.stat().st_size > info.compressed_bytes
    function, images = litert_function(path), networks.images()
    wanted = masked(images, training=False).numpy()
    for batch in (images, images[:1], images[:7]):
        found = function(batch)
        assert found.dtype == np.float32
        assert np.abs(found - wanted[: len(batch)]).max() < CLOSE[quantize]


def test_images_of_another_size_are_refused_and_the_next_ones_taken(
    masked, tmp_path
):
    path = tmp_path / "network.tflite"
    export_litert(masked, path)
    function, images = litert_function(path), networks.images()
    wanted = function(images)
    with pytest.raises(InputError, match=r"\(images, 8, 8, 3\).*\(40, 7, 8, 3"):
        function(images[:, 1:])
    np.testing.assert_array_equal(function(images), wanted)


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize(
    "density", [0.1, pytest.param(0.6, marks=pytest.mark.slow)]
)
def test_a_sparse_file_is_never_larger(tmp_path, quantize, density):
    network = networks.pruned(density)
    sizes = [
        export_litert(
            network,
            tmp_path / f"{sparse}.tflite",
            quantize=quantize,
            sparse=sparse,
            representative=networks.images(),
        ).bytes
        for sparse in (False, True)
    ]
    assert sizes[1] <= sizes[0] * (0.9 if density == 0.1 else 1)


@pytest.mark.slow
def test_files_of_a_pruned_vgg_are_as_small_as_they_have_to_be(tmp_path):
    dense = ht.models.vgg16_bn()
    masked = ht.to_masked(dense, density=0.05)
    ht.init_scores(masked, "scaled")
    images = networks.images(8, shape=(32, 32, 3))
    base = export_litert(dense, tmp_path / "dense.tflite").bytes
    for quantize, times in (("none", 8), ("int8", 20)):
        info = export_litert(
            masked,
            tmp_path / f"{quantize}.tflite",
            quantize=quantize,
            sparse=True,
            representative=images,
        )
        assert base / info.bytes >= times, quantize


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_pruned_weights_stay_zero_one_by_one(masked, tmp_path, quantize):
    path = tmp_path / "network.tflite"
    export_litert(
        masked,
        path,
        quantize=quantize,
        representative=networks.images(),
    )
    arrays = networks.constants(path)
    dtype = np.int8 if quantize == "int8" else np.float32
    for name, kernel in networks.kernels(ht.strip_masks(masked)).items():
        # Output channels come first in a file.
        moved = np.moveaxis(kernel, -1, 0)
        matching = [
            (details, array)
            for details, array in arrays
            if array.shape == moved.shape and array.dtype == dtype
        ]
        ((details, array),) = matching
        assert np.all(array[moved == 0] == 0), name
        # Most of the others are none, or the check would say nothing.
        assert np.mean(array[moved != 0] != 0) > 0.9, name
        if quantize == "int8":
            scales = details["quantization_parameters"]
            assert not np.any(scales["zero_points"]), name
            if name.startswith(("conv", "point")):
                assert len(scales["scales"]) == len(array), name


def test_sparse_files_are_smaller(tmp_path):
    sizes = {}
    for quantize in ("none", "int8"):
        for sparse in (False, True):
            info = export_litert(
                networks.pruned(density=0.05),
                tmp_path / "network.tflite",
                quantize=quantize,
                sparse=sparse,
                representative=networks.images(),
            )
            sizes[quantize, sparse] = info.bytes
    assert sizes["none", True] < sizes["none", False] / 3
    assert sizes["int8", False] < sizes["none", False] / 2
    assert sizes["int8", True] < sizes["none", True]


def test_an_operation_without_kernel_is_named_with_its_layer(tmp_path):
    class Gamma(keras.layers.Layer):
        def call(self, x):
            return tf.math.igamma(tf.abs(x) + 1.0, tf.abs(x))

    model = keras.Sequential(
        [keras.Input((4,)), Gamma(name="odd"), keras.layers.Dense(2)]
    )
    with pytest.raises(InputError, match="no kernel for Igamma, of .*odd"):
        export_litert(model, tmp_path / "network.tflite")
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_named(masked, tmp_path):
    path = tmp_path / "network.tflite"
    for message, call in {
        "`path` must end in .tflite": lambda: export_litert(
            masked, tmp_path / "network.lite"
        ),
        "`quantize` must be one of": lambda: export_litert(
            masked, path, quantize="int4"
        ),
        "`representative` must be given with quantize='int8'": (
            lambda: export_litert(masked, path, quantize="int8")
        ),
        "`representative`": lambda: export_litert(
            masked, path, quantize="int8", representative=np.zeros((3, 2))
        ),
        "`input_shape` must be given": lambda: export_litert(
            keras.Sequential(
                [
                    keras.Input((None, None, 3)),
                    keras.layers.GlobalAveragePooling2D(),
                ]
            ),
            path,
        ),
    }.items():
        with pytest.raises(InputError, match=message):
            call()
    assert not list(tmp_path.iterdir())


def test_what_is_no_litert_file_is_refused(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="must be a LiteRT file"):
        litert_function(path)
    with pytest.raises(InputError, match="cannot be read"):
        litert_function(tmp_path / "missing.tflite")


@pytest.mark.slow
@pytest.mark.parametrize("name", ht.models.names())
def test_every_network_of_the_library(name, tmp_path):
    shape = (8, 8, 1) if name.startswith("digits") else (32, 32, 3)
    model = ht.models.create(name, shape, 10)
    images = networks.images(2, shape)
    export_litert(model, tmp_path / "network.tflite")
    np.testing.assert_allclose(
        litert_function(tmp_path / "network.tflite")(images),
        model(images, training=False),
        atol=1e-4,
    )
