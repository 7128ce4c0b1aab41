"""The classes that a network gives images, written as an `.npz` file."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from flags import pseudo_label_flags
from hydra_tf import files
from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.progress import Ticker
from hydra_tf.progress import say
from trainers.labelling import images as unlabelled
from trainers.run import source


def run() -> None:
    """Labels `--dataset` with `--source` as the flags say."""
    parsed = pseudo_label_flags.pseudo_label_from_flags()
    path = source.find(parsed.source)
    output = files.as_path(parsed.output)
    files.check_writable(output.parent, "output")
    network = source.load(path)
    images = unlabelled.read(
        parsed.dataset,
        _image_shape(network, path),
        parsed.batch_size,
        parsed.data_dir,
    )
    say(f"pseudo_label: {path} on {images.count} images of {parsed.dataset}")
    arrays = label(network, images, parsed.min_confidence, parsed.progress)
    counts = np.bincount(
        arrays["labels"], minlength=inputs.num_classes_of(network) or 0
    )
    if not counts.sum():
        raise InputError(
            f"--min_confidence={parsed.min_confidence:g} keeps none of the "
            f"{images.count} images; lower it"
        )
    with files.replacing_file(output) as partial:
        np.savez(partial, **arrays)
    say(
        f"  {counts.sum()} kept, by class: {', '.join(map(str, counts))}\n"
        f"Images and labels: {output}"
    )


def label(
    network: keras.Model,
    images: unlabelled.Images,
    min_confidence: float,
    progress: str = "none",
) -> dict[str, Any]:
    """Returns images and the classes that a network gives them.

    Args:
        network: Keras model from images in [0, 1] to logits.
        images: The images.
        min_confidence: Least probability of the class for one to be kept.
        progress: `"auto"` or `"none"`.

    Returns:
        `images` in uint8, `labels` and `confidences`, in the order of the
        images.

    Raises:
        InputError: If an image cannot be read.
    """

    @tf.function(reduce_retracing=True)
    def classify(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = network(tf.cast(batch, tf.float32) / 255, training=False)
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
        return (
            tf.argmax(probabilities, axis=-1, output_type=tf.int32),
            tf.reduce_max(probabilities, axis=-1),
        )

    kept: list[tuple[np.ndarray, ...]] = []
    ticker = Ticker("pseudo_label", images.count, progress)
    done = 0
    try:
        for batch in images.batches:
            labels, confidences = (each.numpy() for each in classify(batch))
            sure = confidences >= min_confidence
            kept.append((batch.numpy()[sure], labels[sure], confidences[sure]))
            done += len(sure)
            ticker.update(done)
    except tf.errors.OpError as error:
        line = re.sub(r"\{\{.*?\}\} *", "", str(error.message)).splitlines()[0]
        raise InputError(
            f"--dataset holds an image that cannot be read, after {done} that "
            f"can: {line[:200]}"
        ) from error
    finally:
        ticker.close()
    names = ("images", "labels", "confidences")
    return dict(
        zip(names, map(np.concatenate, zip(*kept, strict=True)), strict=True)
    )


def _image_shape(network: keras.Model, path: Any) -> tuple[int, int, int]:
    shape = inputs.image_shape_of(network)
    if shape is None or len(shape) != 3 or None in shape:
        raise InputError(
            f"--source={path} takes inputs of shape {shape}; it must take "
            "images of one size: height, width and channels"
        )
    height, width, channels = (int(size or 0) for size in shape)
    return height, width, channels
