"""Requests with which TensorFlow Serving warms up.

A server answers them when it loads a model, so that the first user does not
wait for TensorFlow to make its graph ready.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.export.served import ServedNetwork

# Where TensorFlow Serving looks, and how many requests it takes at most: 1000.
_FILE = pathlib.PurePath("assets.extra") / "tf_serving_warmup_requests"
_MOST_IMAGES = 32


def requests(
    images: Any, served: ServedNetwork, signatures: Collection[str]
) -> list[Any]:
    """Returns requests of each signature, with one image and with several.

    Args:
        images: Images in [0, 1], shape `(images, ...)`.
        served: The network.
        signatures: Names of its signatures.

    Returns:
        `PredictionLog` messages of TensorFlow Serving.

    Raises:
        InputError: If the images do not suit the network.
    """
    images = inputs.as_array(images)
    inputs.check_images(images, "images", shape=served.shape)
    batch = np.asarray(images[:_MOST_IMAGES], served.dtype)
    found = []
    for count in dict.fromkeys((1, len(batch))):
        part = batch[:count]
        found.append(_request("serving_default", "images", part))
        if "serving_bytes" in signatures:
            found.append(_request("serving_bytes", "image_bytes", _png(part)))
    return found


def write(requests: list[Any], folder: pathlib.Path) -> None:
    """Writes requests below the folder of a SavedModel."""
    path = folder / _FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(request.SerializeToString())


def _request(signature: str, name: str, value: np.ndarray) -> Any:
    # Imports gRPC.
    from tensorflow_serving.apis import predict_pb2
    from tensorflow_serving.apis import prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )


def _png(images: np.ndarray) -> np.ndarray:
    """Returns each image as the bytes of a PNG file."""
    pixels = np.round(255 * images).astype(np.uint8)
    return np.array(
        [tf.io.encode_png(each).numpy() for each in pixels], dtype=object
    )
