"""Times training on bounds, and symbolic intervals of a batch.

    python -m benchmarks.bounds

Prints JSON:

* the seconds of a training step under `ibp` and `crown_ibp` (while both its
  bounds are mixed), and their ratio to a step of natural training;
* the seconds that symbolic intervals, with their gradient, take for the images
  that MixTrain draws: all in one call, and in one call for each image. Calls
  are eager, and once more compiled by `tf.function`.

Everything that is compared is run in turn.
"""

from __future__ import annotations

import json
import os
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_MODEL = flags.DEFINE_string(
    "model", "cifar_model_large", "Network of the training steps."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per step.")
_SYMBOLIC_MODEL = flags.DEFINE_string(
    "symbolic_model", "cifar_model", "Network of the symbolic intervals."
)
_SYMBOLIC_EXAMPLES = flags.DEFINE_integer(
    "symbolic_examples", 5, "Images of the symbolic intervals."
)
_STEPS = flags.DEFINE_integer("steps", 7, "Timed rounds.", lower_bound=1)

_EPSILON = 2 / 255


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import keras

    keras.utils.set_random_seed(0)
    print(
        json.dumps(
            {"training_step": _training(), "symbolic": _symbolic()}, indent=2
        )
    )


def _training() -> dict[str, object]:
    """Returns what steps of training on bounds cost."""
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks.timing import median_seconds

    network = ht.models.create(_MODEL.value, (32, 32, 3), 10)
    images, labels = _batch(_BATCH_SIZE.value)

    def stepper(objective):
        robust = ht.RobustModel(network, objective)
        robust.compile(ht.training.Adam(1e-6))
        robust.optimizer.build(robust.trainable_variables)
        step = tf.function(robust.train_step)
        return lambda: step((images, labels))["loss"].numpy()

    seconds = median_seconds(
        {
            "natural": stepper(ht.objectives.Natural()),
            "ibp": stepper(ht.objectives.IBP(epsilon=_EPSILON)),
            "crown_ibp": stepper(
                ht.objectives.CROWNIBP(epsilon=_EPSILON, crown_weight=0.5)
            ),
        },
        repeats=_STEPS.value,
    )
    return {
        "model": _MODEL.value,
        "batch_size": _BATCH_SIZE.value,
        "seconds": seconds,
        "ratio_to_natural": {
            name: seconds[name] / seconds["natural"]
            for name in ("ibp", "crown_ibp")
        },
    }


def _symbolic() -> dict[str, object]:
    """Returns what symbolic intervals cost together and one by one."""
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks.timing import median_seconds

    network = ht.models.create(_SYMBOLIC_MODEL.value, (32, 32, 3), 10)
    count = _SYMBOLIC_EXAMPLES.value
    images, labels = _batch(count)

    def gradients(x, y):
        with tf.GradientTape() as tape:
            margins = ht.bounds.margins(network, x, y, _EPSILON, "symbolic")
            loss = tf.reduce_mean(tf.nn.softplus(-margins))
        return tape.gradient(loss, network.trainable_variables)

    def one_by_one(function):
        for index in range(count):
            rows = slice(index, index + 1)
            function(images[rows], labels[rows])[0].numpy()

    result: dict[str, object] = {
        "model": _SYMBOLIC_MODEL.value,
        "examples": count,
    }
    # A function of its own for each, so that neither retraces for the other.
    calls = {
        "eager": (gradients, gradients),
        "compiled": (tf.function(gradients), tf.function(gradients)),
    }
    for name, (together, single) in calls.items():
        seconds = median_seconds(
            {
                "one_call": lambda f=together: f(images, labels)[0].numpy(),
                "single_image_calls": lambda f=single: one_by_one(f),
            },
            repeats=_STEPS.value,
        )
        result[name] = {
            "seconds": seconds,
            "speedup": seconds["single_image_calls"] / seconds["one_call"],
        }
    return result


def _batch(count):
    import tensorflow as tf

    images = tf.random.stateless_uniform([count, 32, 32, 3], seed=[0, 1])
    labels = tf.random.stateless_uniform(
        [count], seed=[0, 2], maxval=10, dtype=tf.int32
    )
    return images, labels


if __name__ == "__main__":
    app.run(main)
