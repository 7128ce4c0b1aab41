"""Times certification by randomised smoothing against plain inference.

    python -m benchmarks.smoothing --model=cifar_model_large

Prints JSON: images per second of the bare network in a `tf.function`, on
batches of the same size, and of certification, noise and counting included;
their ratio (1: smoothing costs nothing beside the network); and the peak memory
of fresh processes that certify with few and with many draws.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_MODEL = flags.DEFINE_string(
    "model", "cifar_model_large", "A name of ht.models."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 256, "Noisy images per forward pass.", lower_bound=1
)
_REPEATS = flags.DEFINE_integer(
    "repeats", 25, "Timed calls of each, in turn.", lower_bound=1
)
_MEMORY_DRAWS = flags.DEFINE_list(
    "memory_draws",
    ["1000", "10000"],
    "Numbers of draws whose peak memory is measured.",
)
_MEASURE = flags.DEFINE_integer(
    "measure", None, "Only certify one image with so many draws."
)


def peak_bytes(draws: int) -> int:
    """Returns the peak memory of a new process that certifies one image."""
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.smoothing",
            f"--model={_MODEL.value}",
            f"--batch_size={_BATCH_SIZE.value}",
            f"--measure={draws}",
        ],
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(result.stdout)


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import keras
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks.timing import median_seconds
    from hydra_tf.smoothing.sampling import BATCHES_PER_CALL

    keras.utils.set_random_seed(0)
    network = ht.models.create(_MODEL.value, (32, 32, 3), 10)
    batch_size = _BATCH_SIZE.value
    images = tf.random.stateless_uniform([batch_size, 32, 32, 3], seed=[0, 1])
    image = images[:1].numpy()

    if _MEASURE.value is not None:
        ht.smoothing.certify(
            network, image, 0.25, n=_MEASURE.value, batch_size=batch_size
        )
        # Kilobytes on Linux.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return

    @tf.function
    def infer(images):
        return tf.argmax(network(images, training=False), axis=-1)

    def plain():
        for _ in range(BATCHES_PER_CALL):
            infer(images).numpy()

    # As many noisy images make one certificate each, in one call of a function
    # that was traced before.
    draws = batch_size * BATCHES_PER_CALL
    certificates = ht.smoothing.certify_each(
        network,
        tf.repeat(image, _REPEATS.value + 3, axis=0).numpy(),
        0.25,
        n0=1,
        n=draws - 1,
        batch_size=batch_size,
    )
    seconds = median_seconds(
        {"inference": plain, "smoothing": lambda: next(certificates)},
        repeats=_REPEATS.value,
        warmup=3,
    )
    print(
        json.dumps(
            {
                "model": _MODEL.value,
                "batch_size": batch_size,
                "inference_images_per_second": draws / seconds["inference"],
                "smoothing_images_per_second": draws / seconds["smoothing"],
                "ratio": seconds["inference"] / seconds["smoothing"],
                "peak_bytes": {
                    number: peak_bytes(int(number))
                    for number in _MEMORY_DRAWS.value
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    app.run(main)
