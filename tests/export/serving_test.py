"""The layout of TensorFlow Serving, with requests to warm up."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from hydra_tf.errors import InputError
from hydra_tf.export import export_serving
from tests.export import networks


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "network"
    model, images = networks.pruned(), networks.images(3)
    infos = [
        export_serving(
            model, path, images=images, class_names=["ä", "b", "c", "d"]
        )
        for _ in range(2)
    ]
    return path, infos, model, images


def test_versions_lie_beside_each_other(served):
    path, infos, *_ = served
    assert sorted(each.name for each in path.iterdir()) == ["1", "2"]
    assert [each.path for each in infos] == [str(path / "1"), str(path / "2")]


def test_warm_up_requests_are_answered_right(served):
    path, _, model, images = served
    file = path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    loaded = tf.saved_model.load(str(path / "1"))
    seen = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        signature = request.model_spec.signature_name
        given = {
            name: tf.constant(tf.make_ndarray(value))
            for name, value in request.inputs.items()
        }
        logits = loaded.signatures[signature](**given)["logits"].numpy()
        wanted = model(images[: len(logits)], training=False)
        # PNG has 256 steps.
        tolerance = 1e-5 if signature == "serving_default" else 0.05
        np.testing.assert_allclose(logits, wanted, atol=tolerance)
        seen.append((signature, len(logits)))
    assert sorted(seen) == [
        ("serving_bytes", 1),
        ("serving_bytes", 3),
        ("serving_default", 1),
        ("serving_default", 3),
    ]


def test_labels_are_an_asset(served):
    path, *_ = served
    assert (path / "1" / "assets" / "labels.txt").read_text("utf-8") == (
        "ä\nb\nc\nd\n"
    )
    loaded = tf.saved_model.load(str(path / "1"))
    assert b"labels.txt" in loaded.labels.asset_path.numpy()


def test_weights_are_on_disk_once(served):
    path, _, model, _ = served
    stored = sum(
        file.stat().st_size
        for file in (path / "1" / "variables").glob("*.data-*")
    )
    plain = 4 * sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        for weight in layer.weights
        if "score" not in weight.path and "mask" not in weight.path
    )
    assert plain <= stored < 1.1 * plain + 2000


def test_wrong_arguments_are_named(tmp_path):
    model = networks.pruned()
    (tmp_path / "m" / "1").mkdir(parents=True)
    for message, arguments in {
        "`version`=1 exists": {"version": 1},
        "`version` must be an integer >= 1": {"version": 0},
        "`images`": {"images": np.zeros((2, 4, 4, 3), np.float32)},
    }.items():
        with pytest.raises(InputError, match=message):
            export_serving(model, tmp_path / "m", **arguments)
    (tmp_path / "m" / "notes.txt").touch()
    with pytest.raises(InputError, match="it holds notes.txt"):
        export_serving(model, tmp_path / "m")
    assert sorted(each.name for each in (tmp_path / "m").iterdir()) == [
        "1",
        "notes.txt",
    ]
