"""A prepared data set of ImageNet's name and features, with a few images."""

from __future__ import annotations

import contextlib
import io
import pathlib

import numpy as np
import tensorflow as tf

NAME = "imagenet2012"
NUM_TRAIN = 23
NUM_TEST = 7


def images(num_examples: int, seed: int) -> list[np.ndarray]:
    """Returns smooth uint8 images of varying sizes, made from random numbers.

    Some are smaller than the 224 pixels that they are brought to.
    """
    generator = np.random.RandomState(seed)
    made = []
    for _ in range(num_examples):
        height, width = generator.randint(100, 420, 2)
        coarse = generator.uniform(0, 255, (1, 6, 6, 3)).astype(np.float32)
        fine = tf.image.resize(coarse, (height, width))[0]
        made.append(np.round(fine.numpy()).astype(np.uint8))
    return made


def labels(num_examples: int, seed: int) -> list[int]:
    """Returns a class of its own for each example."""
    generator = np.random.RandomState(seed)
    return generator.permutation(1000)[:num_examples].tolist()


def write(data_dir: pathlib.Path, num_shards: int = 2) -> None:
    """Prepares the data set, each split in so many files.

    As in the original, the examples are stored in an order that follows from
    the hashes of their keys.
    """
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = NAME
        VERSION = tfds.core.Version("5.1.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(encoding_format="jpeg"),
                        "label": tfds.features.ClassLabel(num_classes=1000),
                        "file_name": tfds.features.Text(),
                    }
                ),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(NUM_TRAIN, 1),
                "validation": self._generate_examples(NUM_TEST, 2),
            }

        def _generate_examples(self, num_examples, seed):
            pairs = zip(
                images(num_examples, seed),
                labels(num_examples, seed),
                strict=True,
            )
            for number, (image, label) in enumerate(pairs):
                # Without colour shared by pixels, parts decode exactly.
                encoded = tf.io.encode_jpeg(
                    image, quality=95, chroma_downsampling=False
                ).numpy()
                name = f"{seed}_{number}.JPEG"
                yield (
                    name,
                    {
                        "image": io.BytesIO(encoded),
                        "label": label,
                        "file_name": name,
                    },
                )

    silence = io.StringIO()
    with (
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        Builder(data_dir=data_dir).download_and_prepare(
            download_dir=data_dir / "downloads",
            download_config=tfds.download.DownloadConfig(
                num_shards=num_shards, try_download_gcs=False
            ),
        )


def resized(
    image: np.ndarray, height: int, width: int, antialias: bool = True
) -> np.ndarray:
    """Returns an image resized linearly, in float64, without TensorFlow.

    A pixel is the mean of those around it, whose weights fall linearly to 0
    over one pixel of the larger of both images, or of the given one.
    """
    return np.einsum(
        "ij,lk,jkc->ilc",
        _weights(image.shape[0], height, antialias),
        _weights(image.shape[1], width, antialias),
        image.astype(float),
        optimize=True,
    )


def _weights(size: int, new_size: int, antialias: bool) -> np.ndarray:
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5)[:, None] * scale
    distances = np.abs(np.arange(size)[None, :] + 0.5 - centres)
    reach = max(scale, 1) if antialias else 1
    weights = np.maximum(0, 1 - distances / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def middle(image: np.ndarray) -> np.ndarray:
    """Returns what is evaluated of an image: shorter side 256, middle 224."""
    shorter = min(image.shape[:2])
    height, width = (256 * size // shorter for size in image.shape[:2])
    top, left = (height - 224) // 2, (width - 224) // 2
    large = resized(image, height, width) / 255
    return large[top : top + 224, left : left + 224]
