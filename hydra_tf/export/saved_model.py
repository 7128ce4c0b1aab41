"""A pruned network as a SavedModel that needs neither hydra_tf nor Keras."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from hydra_tf import files
from hydra_tf.errors import InputError


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

    Returns:
        Where the SavedModel is and how large.

    Raises:
        InputError: If the model's input or output is not a single tensor, if
            its input shape is unknown, or if `path` holds something else.
        FileError: If `path` cannot be written.

    Example:
    ```python
    info = export_saved_model(model, "run/saved_model")
    serve = tf.saved_model.load(info.path).signatures["serving_default"]
    logits = serve(images=tf.zeros((1, 32, 32, 3)))["logits"]
    ```
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a Keras model. Received: {model!r}")
    path = files.as_path(path)
    check_replaceable(path)
    model = _without_masks(model)
    shape = _example_shape(model, input_shape)

    dtype = _input_dtype(model)

    # A symbolic call: it builds a model that has not been called yet.
    outputs = model(keras.KerasTensor((None, *shape), dtype), training=False)
    if not isinstance(outputs, keras.KerasTensor):
        raise InputError(
            "`model` must have a single output, the logits. "
            f"Received: {type(outputs).__name__}"
        )

    def serve_images(images):
        logits = model(images, training=False)
        return {"logits": tf.cast(logits, tf.float32)}

    signatures = {
        "serving_default": tf.function(serve_images).get_concrete_function(
            tf.TensorSpec((None, *shape), dtype, "images")
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

    module = tf.Module()
    module.weights = _weights(model)
    with files.replacing_directory(path) as folder:
        tf.saved_model.save(module, str(folder), signatures=signatures)
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


def _without_masks(model: keras.Model) -> keras.Model:
    from hydra_tf import pruning

    return pruning.strip_masks(model) if pruning.masked_layers(model) else model


def _example_shape(
    model: keras.Model, input_shape: tuple[int | None, ...] | None
) -> tuple[int | None, ...]:
    """Returns the shape of one input, as given or as the model knows it."""
    try:
        known = model.input_shape
    except AttributeError:
        known = None
    if isinstance(known, list | dict) or (
        known
        and not all(each is None or isinstance(each, int) for each in known)
    ):
        raise InputError(
            f"`model` must have a single input. Received inputs: {known}"
        )
    if input_shape is None:
        # A subclassed model knows what it was built with.
        known = known or (model.get_build_config() or {}).get("input_shape")
        if known is None:
            raise InputError(
                "`input_shape` must be given, as (height, width, channels), "
                "for a model that does not know its own"
            )
        return tuple(known[1:])
    if not isinstance(input_shape, tuple | list):
        raise InputError(
            "`input_shape` must be a tuple, such as (height, width, channels). "
            f"Received: {input_shape!r}"
        )
    fits = known is None or (
        len(known) == len(input_shape) + 1
        and all(
            None in pair or pair[0] == pair[1]
            for pair in zip(known[1:], input_shape, strict=True)
        )
    )
    if not fits:
        raise InputError(
            f"`input_shape` must fit the model's {tuple(known[1:])}. "
            f"Received: {tuple(input_shape)}"
        )
    return tuple(input_shape)


def _input_dtype(model: keras.Model) -> str:
    """Returns the type of a model's input; that of any floats is float32."""
    inputs = getattr(model, "inputs", None)
    dtype = inputs[0].dtype if inputs else "float32"
    return "float32" if keras.backend.is_float_dtype(dtype) else dtype


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


def _weights(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the model's variables by path, without those of metrics."""
    skipped = {id(variable) for variable in model.metrics_variables}
    weights: dict[str, tf.Variable] = {}
    for variable in model.variables:
        if id(variable) in skipped:
            continue
        name, count = variable.path, 1
        while name in weights:
            count += 1
            name = f"{variable.path}_{count}"
        weights[name] = variable.value
    return weights


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
