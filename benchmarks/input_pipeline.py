"""Sets the input pipelines beside what consumes them, and what they must do.

    python -m benchmarks.input_pipeline
    python -m benchmarks.input_pipeline --parts=jpeg --clock=cpu

Prints JSON. `cifar10`: augmented batches of 32 x 32 images in memory (crops,
flips), beside natural training steps of `cifar_model_large`: images a second of
both, and their ratio. `jpeg`: pictures of ImageNet's mean size in a folder,
which is read as a stream for training (random crops, resized to 224 x 224) and
for validation (the middle), beside `tf.data` with `tf.io.decode_jpeg` alone on
all cores. A pipeline has begun, with a first batch, before it is timed.

What is compared is run in turn, so that a busy machine hits all alike.
`--clock=cpu` takes CPU time of all cores.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_PARTS = flags.DEFINE_list("parts", ["cifar10", "jpeg"], "What is measured.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per batch.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed rounds.", lower_bound=1)
_PICTURES = flags.DEFINE_integer("pictures", 256, "JPEGs of an epoch.")
_CLOCK = flags.DEFINE_enum(
    "clock", "wall", ["wall", "cpu"], "Time, or CPU time of all cores."
)
_DATA_SERVICE = flags.DEFINE_string(
    "data_service", None, "As of the binaries: who makes the batches."
)

# Those of ImageNet's pictures in the mean, which have 110 KB.
_HEIGHT, _WIDTH = 387, 469
_STEPS = 8
_EPOCHS = 3


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    parts = {"cifar10": _cifar10, "jpeg": _jpeg}
    result = {name: parts[name]() for name in _PARTS.value}
    print(json.dumps({"clock": _CLOCK.value, **result}, indent=2))


def _cifar10() -> dict[str, float]:
    import numpy as np
    import tensorflow as tf

    import hydra_tf as ht

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50_000, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, 50_000)
    batch = _BATCH_SIZE.value
    pipe = ht.data.from_arrays(
        images, labels, batch_size=batch, augment=ht.data.CropFlip()
    ).served_by(_DATA_SERVICE.value)
    network = ht.models.create("cifar_model_large", (32, 32, 3), 10)
    robust = ht.RobustModel(network, ht.objectives.Natural())
    robust.compile(ht.training.SGD(1e-3, momentum=0.9))
    robust.optimizer.build(robust.trainable_variables)
    step = tf.function(robust.train_step)
    some = (
        tf.cast(images[:batch], tf.float32) / 255.0,
        tf.constant(labels[:batch], tf.int32),
    )

    def train() -> float:
        start = _now()
        for _ in range(_STEPS):
            step(some)["loss"].numpy()
        return _STEPS * batch / (_now() - start)

    train()
    speed = _medians(
        {"pipeline": functools.partial(_speed, pipe.dataset), "training": train}
    )
    return speed | {"ratio": speed["pipeline"] / speed["training"]}


def _jpeg() -> dict[str, float]:
    import tensorflow as tf

    import hydra_tf as ht

    with tempfile.TemporaryDirectory() as folder:
        paths = _draw(pathlib.Path(folder))
        files = tf.data.Dataset.from_tensor_slices(paths).repeat(_EPOCHS)
        decoded = files.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        pipes = {
            name: ht.data.load(
                f"folder:{folder}",
                split,
                batch_size=min(_BATCH_SIZE.value, _PICTURES.value),
                data_service=_DATA_SERVICE.value,
            )
            for name, split in (("training", "train"), ("validation", "test"))
        }
        speed = _medians(
            {
                "decode_jpeg": functools.partial(_speed, lambda: decoded),
                **{
                    name: functools.partial(
                        _speed,
                        functools.partial(pipe.dataset, num_epochs=_EPOCHS),
                    )
                    for name, pipe in pipes.items()
                },
            }
        )
    for name in ("training", "validation"):
        speed[f"{name}_ratio"] = speed[name] / speed["decode_jpeg"]
    return speed


def _now() -> float:
    clock = time.process_time if _CLOCK.value == "cpu" else time.perf_counter
    return clock()


def _speed(make) -> float:
    """Returns the images a second of a dataset after its first batch."""
    batches = iter(make())
    next(batches)
    start, images = _now(), 0
    for batch in batches:
        images += batch[0].shape[0] if isinstance(batch, tuple) else 1
    return images / (_now() - start)


def _medians(functions) -> dict[str, float]:
    """Returns the median of what each function returns, called in turn."""
    found = {name: [] for name in functions}
    for _ in range(_REPEATS.value):
        for name, function in functions.items():
            found[name].append(function())
    return {name: statistics.median(each) for name, each in found.items()}


def _draw(folder: pathlib.Path) -> list[str]:
    """Writes pictures in ImageNet's layout, noisy as photographs are."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    paths = []
    for number in range(_PICTURES.value):
        coarse = rng.uniform(0, 255, (1, 12, 16, 3)).astype(np.float32)
        pixels = tf.image.resize(coarse, (_HEIGHT, _WIDTH))[0].numpy()
        pixels += rng.normal(0, 12, pixels.shape)
        encoded = tf.io.encode_jpeg(
            np.clip(pixels, 0, 255).astype(np.uint8), quality=94
        ).numpy()
        for part in ("train", "val"):
            path = folder / part / f"n{number % 2:08d}" / f"{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded)
        paths.append(str(path))
    return paths


if __name__ == "__main__":
    app.run(main)
