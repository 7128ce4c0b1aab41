"""Tests for hydra_tf.export.saved_model."""

from __future__ import annotations

import io
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hydra_tf import layers
from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.export import export_saved_model


def network(shape=(8, 6, 3), dtype=None):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.layers.Input(shape),
            keras.layers.Conv2D(8, 3, use_bias=False, dtype=dtype),
            keras.layers.BatchNormalization(dtype=dtype),
            keras.layers.ReLU(dtype=dtype),
            keras.layers.Dropout(0.5, dtype=dtype),
            keras.layers.GlobalAveragePooling2D(dtype=dtype),
            keras.layers.Dense(4, dtype=dtype),
        ]
    )


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array, kind="PNG"):
    stream = io.BytesIO()
    image = Image.fromarray(array.squeeze())
    image.save(stream, kind)
    return stream.getvalue()


def serve(path, name, **inputs):
    function = tf.saved_model.load(str(path)).signatures[name]
    return function(**inputs)["logits"].numpy()


# What a server knows: TensorFlow, the folder and a request.
SERVER = """
import json, sys
sys.modules["hydra_tf"] = sys.modules["keras"] = None
sys.modules["tf_keras"] = None
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
request = np.load(sys.argv[2])
serve = loaded.signatures["serving_default"]
serve_bytes = loaded.signatures["serving_bytes"]
images = tf.constant(request["images"])
specs = {}
for name, function in loaded.signatures.items():
    keywords = function.structured_input_signature[1]
    specs[name] = [
        {key: [spec.dtype.name, list(spec.shape)]
         for key, spec in keywords.items()},
        {key: [spec.dtype.name, list(spec.shape)]
         for key, spec in function.structured_outputs.items()},
    ]
strings = tf.constant([bytes(each) for each in request["encoded"]])
print(json.dumps({
    "logits": serve(images=images)["logits"].numpy().tolist(),
    "one": serve(images=images[:1])["logits"].numpy().tolist(),
    "from_bytes": serve_bytes(image_bytes=strings)["logits"].numpy().tolist(),
    "zeros": {key: int(np.sum(value.numpy() == 0.0))
              for key, value in loaded.weights.items()},
    "specs": specs,
}))
"""


def test_a_process_without_our_code_serves_the_same_numbers(tmp_path):
    model = pruning.to_masked(network())
    pruning.init_scores(model, "scaled")
    pruning.set_density(model, 0.25)
    # In inference the running statistics count, so they must not be trivial.
    norm = next(
        each
        for each in model.layers
        if isinstance(each, keras.layers.BatchNormalization)
    )
    norm.moving_mean.assign(np.linspace(-1, 1, 8))
    norm.moving_variance.assign(np.linspace(0.5, 2, 8))
    info = export_saved_model(model, tmp_path / "saved_model")

    raw = pixels((5, 8, 6, 3))
    images = raw.astype("float32") / 255
    strings = [encoded(each) for each in raw]
    width = max(map(len, strings))
    # Bytes after the end of a PNG file are ignored.
    table = np.stack(
        [np.frombuffer(each.ljust(width, b"\0"), np.uint8) for each in strings]
    )
    np.savez(tmp_path / "request.npz", images=images, encoded=table)
    arguments = [info.path, str(tmp_path / "request.npz")]
    result = subprocess.run(
        [sys.executable, "-I", "-c", SERVER, *arguments],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer = json.loads(result.stdout.splitlines()[-1])

    expected = model(images, training=False).numpy()
    np.testing.assert_allclose(answer["logits"], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(answer["one"], expected[:1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        answer["from_bytes"], answer["logits"], rtol=0, atol=1e-6
    )
    logits = {"logits": ["float32", [None, 4]]}
    assert answer["specs"] == {
        "serving_default": [
            {"images": ["float32", [None, 8, 6, 3]]},
            logits,
        ],
        "serving_bytes": [{"image_bytes": ["string", [None]]}, logits],
    }
    # Conv2D: 54 of 216 kept; Dense: 8 of 32.
    zeros = {k: v for k, v in answer["zeros"].items() if k.endswith("kernel")}
    assert sorted(zeros.values()) == [24, 162]


def test_pruned_models_compress_better(tmp_path):
    sizes = []
    for density in (1.0, 0.05):
        model = keras.Sequential(
            [keras.layers.Input((64,)), keras.layers.Dense(256)]
        )
        kernel = model.layers[0].kernel
        keep = np.random.default_rng(0).random(kernel.shape) < density
        kernel.assign(kernel * keep)
        sizes.append(export_saved_model(model, tmp_path / str(density)))
    dense, sparse = sizes
    assert abs(dense.bytes - sparse.bytes) < 1000
    # The weights once, and the graph.
    assert 64 * 256 * 4 < dense.bytes < 2 * 64 * 256 * 4
    assert sparse.compressed_bytes < 0.3 * dense.compressed_bytes
    assert dense.compressed_bytes < dense.bytes
    on_disk = sum(
        each.stat().st_size
        for each in (tmp_path / "1.0").rglob("*")
        if each.is_file()
    )
    assert dense.bytes == on_disk


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_models_serve_float32(tmp_path, policy):
    model = network(dtype=policy)
    export_saved_model(model, tmp_path / "m")
    images = pixels((3, 8, 6, 3)).astype("float32") / 255
    logits = serve(tmp_path / "m", "serving_default", images=images)
    assert logits.dtype == np.float32
    expected = tf.cast(model(images, training=False), tf.float32)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("colour", [False, True])
def test_all_formats_are_read(tmp_path_factory, channels, kind, colour):
    # Flat images survive JPEG and GIF within a rounding of the levels.
    raw = np.zeros((8, 6, 3), np.uint8) + np.array([90, 140, 200], np.uint8)
    if not colour:
        raw = np.full((8, 6), 140, np.uint8)
    path = flat_model(tmp_path_factory, channels)
    found = serve(path, "serving_bytes", image_bytes=[encoded(raw, kind)])
    grey = 0.299 * 90 + 0.587 * 140 + 0.114 * 200
    if channels == 1:
        expected = [grey if colour else 140.0]
    else:
        expected = [90.0, 140.0, 200.0] if colour else [140.0] * 3
    np.testing.assert_allclose(found[0] * 255, expected, rtol=0, atol=2.5)


FLAT_MODELS = {}


def flat_model(tmp_path_factory, channels):
    """Exports, once, a model whose logits are the mean colour."""
    if channels not in FLAT_MODELS:
        model = keras.Sequential(
            [
                keras.layers.Input((8, 6, channels)),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
        path = tmp_path_factory.mktemp("flat") / str(channels)
        export_saved_model(model, path)
        FLAT_MODELS[channels] = path
    return FLAT_MODELS[channels]


def test_images_of_another_size_are_resized(tmp_path_factory):
    raw = np.zeros((16, 12, 3), np.uint8)
    raw[:, :6] = 200
    path = flat_model(tmp_path_factory, 3)
    same = raw[::2, ::2]
    found = serve(
        path, "serving_bytes", image_bytes=[encoded(raw), encoded(same)]
    )
    np.testing.assert_allclose(found * 255, np.full((2, 3), 100), atol=1.0)


def test_bytes_that_are_no_image_are_an_error(tmp_path_factory):
    path = flat_model(tmp_path_factory, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        serve(path, "serving_bytes", image_bytes=[b"not a picture"])


def test_models_of_vectors_have_no_bytes_signature(tmp_path):
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    info = export_saved_model(model, tmp_path / "m")
    assert info.signatures == ("serving_default",)
    assert info.to_dict()["signatures"] == ["serving_default"]
    loaded = tf.saved_model.load(info.path)
    assert list(loaded.signatures) == ["serving_default"]


def test_models_of_integers_take_integers(tmp_path):
    inputs = keras.Input((5,), dtype="int32")
    outputs = keras.layers.Dense(2)(
        keras.layers.Flatten()(keras.layers.Embedding(9, 3)(inputs))
    )
    model = keras.Model(inputs, outputs)
    info = export_saved_model(model, tmp_path / "model")
    assert info.signatures == ("serving_default",)
    indices = np.arange(10, dtype=np.int32).reshape(2, 5) % 9
    np.testing.assert_allclose(
        serve(info.path, "serving_default", images=tf.constant(indices)),
        model(indices),
        rtol=1e-6,
    )


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    info = export_saved_model(network(), "~/model")
    assert info.path == str(tmp_path / "model")
    assert (tmp_path / "model" / "saved_model.pb").is_file()


def test_open_sizes_stay_open_or_are_fixed_by_the_caller(tmp_path):
    model = network(shape=(None, None, 3))
    export_saved_model(model, tmp_path / "open")
    raw = pixels((2, 9, 11, 3))
    expected = model(raw.astype("float32") / 255, training=False)
    found = serve(
        tmp_path / "open",
        "serving_bytes",
        image_bytes=[encoded(each) for each in raw],
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    export_saved_model(model, tmp_path / "fixed", input_shape=(8, 6, 3))
    loaded = tf.saved_model.load(str(tmp_path / "fixed"))
    inputs = loaded.signatures["serving_default"].structured_input_signature
    assert inputs[1]["images"].shape == (None, 8, 6, 3)


def test_models_built_on_two_devices_are_exported(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = network()
    export_saved_model(model, tmp_path / "m")
    images = pixels((3, 8, 6, 3)).astype("float32") / 255
    np.testing.assert_allclose(
        serve(tmp_path / "m", "serving_default", images=images),
        model(images, training=False),
        rtol=0,
        atol=1e-6,
    )


def test_a_masked_layer_leaves_no_scores_behind(tmp_path):
    model = keras.Sequential(
        [keras.layers.Input((5,)), layers.MaskedDense(2, density=0.5)]
    )
    export_saved_model(model, tmp_path / "m")
    names = tf.saved_model.load(str(tmp_path / "m")).weights
    assert sorted(name.split("/")[-1] for name in names) == ["bias", "kernel"]


def test_an_export_replaces_an_earlier_one_only(tmp_path):
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    export_saved_model(model, tmp_path / "m")
    model.layers[0].bias.assign([1.0, 2.0])
    export_saved_model(model, tmp_path / "m")
    logits = serve(
        tmp_path / "m", "serving_default", images=np.zeros((1, 5), "float32")
    )
    np.testing.assert_array_equal(logits, [[1.0, 2.0]])
    assert [each.name for each in tmp_path.iterdir()] == ["m"]

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("keep me")
    for name in ("home", "home/letter.txt"):
        with pytest.raises(InputError, match="holds something else"):
            export_saved_model(model, tmp_path / name)
    assert (tmp_path / "home" / "letter.txt").read_text() == "keep me"


def test_a_failed_export_keeps_the_earlier_one(tmp_path, monkeypatch):
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(2)])
    export_saved_model(model, tmp_path / "m")

    def fail(module, path, signatures):
        (pathlib.Path(path) / "variables").mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(model, tmp_path / "m")
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["m"]
    assert tf.saved_model.load(str(tmp_path / "m")).signatures


def test_models_that_cannot_be_served_are_refused(tmp_path):
    first, second = keras.Input((2,)), keras.Input((2,))
    two_inputs = keras.Model([first, second], keras.layers.add([first, second]))
    with pytest.raises(InputError, match="`model` must have a single input"):
        export_saved_model(two_inputs, tmp_path / "m")
    two_outputs = keras.Model(first, [first * 2, first * 3])
    with pytest.raises(InputError, match="`model` must have a single output"):
        export_saved_model(two_outputs, tmp_path / "m")
    with pytest.raises(InputError, match=r"must fit the model's \(8, 6, 3\)"):
        export_saved_model(network(), tmp_path / "m", input_shape=(8, 8, 3))
    assert not any(tmp_path.iterdir())


def test_a_model_of_unknown_shape_asks_for_it(tmp_path):
    class Bare(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    with pytest.raises(InputError, match="`input_shape` must be given"):
        export_saved_model(Bare(), tmp_path / "m")
    model = Bare()
    export_saved_model(model, tmp_path / "m", input_shape=(3,))
    images = np.ones((2, 3), "float32")
    np.testing.assert_allclose(
        serve(tmp_path / "m", "serving_default", images=images),
        model(images),
        rtol=1e-6,
    )
