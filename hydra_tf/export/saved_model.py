"""A pruned network as a SavedModel that needs neither hydra_tf nor Keras."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
import zlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.export import warmup
from hydra_tf.export.served import check_model
from hydra_tf.export.served import served_network


@dataclasses.dataclass(frozen=True)
class SavedModelInfo:
    """What an export wrote.

    Attributes:
        path: Folder of the SavedModel.
        bytes: Size of its files. Zeros take as much room as other weights.
        compressed_bytes: Size of the same files deflated one by one, as in a
            zip archive; this is where pruning shows.
        signatures: Names of the signatures.
    """

    path: str
    bytes: int
    compressed_bytes: int
    signatures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes by name."""
        return {
            **dataclasses.asdict(self),
            "signatures": list(self.signatures),
        }


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    input_shape: tuple[int | None, ...] | None = None,
    images: Any = None,
    class_names: Sequence[str] = (),
) -> SavedModelInfo:
    """Writes a model as a SavedModel for `tf.saved_model.load` and TF Serving.

    Masked layers are stripped first, so that pruned weights are stored as
    0.0. The network runs in inference mode, whatever its precision the
    outputs are float32, and the batch size is free. The signatures are

    * `serving_default`: `images`, float32 `(batch, height, width, channels)`
      in [0, 1], to `logits`, float32 `(batch, classes)`. A model whose input is
      of integers takes these;
    * `serving_bytes`: `image_bytes`, strings `(batch,)`, each an encoded PNG,
      JPEG, GIF (first frame) or BMP, to `logits`. An image of another size
      than the model's is resized, bilinear with antialiasing; the measured
      accuracies hold for images that need no resizing. REST clients of
      TensorFlow Serving send `{"b64": ...}`. Only for models of float images
      with 1, 3 or 4 channels.

    The variables are kept under `weights`, by their Keras paths:
    `tf.saved_model.load(path).weights["conv2d/kernel"]`.

    Args:
        model: A model with one input and one output, the logits.
        path: Folder to write, `~` for the home folder. A SavedModel that is
            already there is replaced, but stays until the new one is complete.
        input_shape: Shape of one example, for a model that does not know its
            own, or to fix sizes that it leaves open.
        images: Some images in [0, 1], shape `(images, ...)`, with which
            TensorFlow Serving warms up: requests with one and with all of
            them, 32 at most, in `assets.extra/tf_serving_warmup_requests`.
        class_names: Names of the classes in the order of the logits, kept as
            the asset `labels.txt`, a line each.

    Returns:
        Where the SavedModel is and how large.

    Raises:
        InputError: If the model's input or output is not a single tensor, if
            its input shape is unknown, if there are not as many names as
            logits, or if `path` holds something else.
        FileError: If `path` cannot be written.

    Example:
    ```python
    info = export_saved_model(model, "run/saved_model")
    serve = tf.saved_model.load(info.path).signatures["serving_default"]
    logits = serve(images=tf.zeros((1, 32, 32, 3)))["logits"]
    ```
    """
    check_model(model)
    path = files.as_path(path)
    check_replaceable(path)
    served = served_network(model, input_shape)
    shape, dtype = served.shape, served.dtype

    def serve_images(images):
        return {"logits": served.logits(images)}

    signatures = {
        "serving_default": tf.function(serve_images).get_concrete_function(
            served.spec
        )
    }
    if dtype == "float32" and len(shape) == 3 and shape[-1] in (1, 3, 4):
        decode = _decoder(shape)

        def serve_bytes(image_bytes):
            images = tf.map_fn(
                decode,
                image_bytes,
                fn_output_signature=tf.TensorSpec(shape, tf.float32),
            )
            return serve_images(images)

        signatures["serving_bytes"] = tf.function(
            serve_bytes
        ).get_concrete_function(
            tf.TensorSpec((None,), tf.string, "image_bytes")
        )
    else:
        logging.info(
            "No serving_bytes signature: inputs of shape %s and type %s are "
            "no images.",
            shape,
            dtype,
        )

    logits = signatures["serving_default"].structured_outputs["logits"]
    _check_names(class_names, logits.shape[-1])
    requests = None
    if images is not None:
        requests = warmup.requests(images, served, signatures)
    module = tf.Module()
    module.weights = served.weights
    with (
        files.replacing_directory(path) as folder,
        tempfile.TemporaryDirectory() as temporary,
    ):
        if class_names:
            labels = files.write_text(
                pathlib.Path(temporary) / "labels.txt",
                "".join(f"{name}\n" for name in class_names),
            )
            module.labels = tf.saved_model.Asset(str(labels))
        tf.saved_model.save(module, str(folder), signatures=signatures)
        if requests is not None:
            warmup.write(requests, folder)
        size = files.directory_size(folder)
        compressed_size = _compressed_size(folder)
    return SavedModelInfo(
        path=str(path),
        bytes=size,
        compressed_bytes=compressed_size,
        signatures=tuple(signatures),
    )


def check_replaceable(path: pathlib.Path) -> None:
    """Checks that a SavedModel can be written, or replaced, at a path.

    Args:
        path: Its folder.

    Raises:
        InputError: If it cannot be written, or is no earlier export.
    """
    if not files.exists(path):
        files.check_writable(path, "path")
        return
    files.check_writable(path.parent, "path")
    if files.is_remote(path):
        # One that was killed may hold some of its files.
        files.recover_directory(path)
    if path.is_dir() and (
        (path / "saved_model.pb").exists() or not any(path.iterdir())
    ):
        return
    raise InputError(
        "`path` must be a new folder, an empty one or a SavedModel to "
        f"replace. Received: {path}, which holds something else"
    )


def _check_names(class_names: Sequence[str], num_classes: int | None) -> None:
    """Raises `InputError` unless there is a line for each logit."""
    if not class_names:
        return
    if num_classes not in (None, len(class_names)):
        raise InputError(
            f"`class_names` must be {num_classes} names, one for each logit. "
            f"Received: {len(class_names)}"
        )
    for name in class_names:
        if "\n" in str(name):
            raise InputError(
                "`class_names` must be names of one line each. "
                f"Received: {name!r}"
            )


def _decoder(
    shape: tuple[int | None, ...],
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from encoded bytes to an image of this shape."""
    height, width, channels = shape

    def in_colour(encoded):
        return tf.io.decode_image(
            encoded, channels=channels, expand_animations=False
        )

    def in_grey(encoded):
        # The decoders of GIF and BMP know colour only.
        return tf.cond(
            tf.strings.regex_full_match(encoded, r"(GIF8|BM)\C*"),
            lambda: tf.image.rgb_to_grayscale(
                tf.io.decode_image(encoded, channels=3, expand_animations=False)
            ),
            lambda: tf.io.decode_image(
                encoded, channels=1, expand_animations=False
            ),
        )

    def decode(encoded):
        image = in_grey(encoded) if channels == 1 else in_colour(encoded)
        image = tf.cast(image, tf.float32) / 255.0
        image.set_shape((None, None, channels))
        if height is None or width is None:
            return image
        # Resizing to the same size may still round.
        return tf.ensure_shape(
            tf.cond(
                tf.reduce_all(tf.shape(image)[:2] == (height, width)),
                lambda: image,
                lambda: tf.clip_by_value(
                    tf.image.resize(image, (height, width), antialias=True),
                    0.0,
                    1.0,
                ),
            ),
            shape,
        )

    return decode


def _compressed_size(folder: pathlib.Path) -> int:
    """Returns the bytes that the files of a folder take when deflated."""
    total = 0
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        compressor = zlib.compressobj()
        with open(file, "rb") as stream:
            while chunk := stream.read(1 << 20):
                total += len(compressor.compress(chunk))
        total += len(compressor.flush())
    return total
