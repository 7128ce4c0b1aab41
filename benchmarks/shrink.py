"""Times a network with pruned channels or heads masked, stripped and shrunk.

    python -m benchmarks.shrink --model=resnet18 --density=0.5

Prints JSON: for each batch size the median seconds of a call in inference mode
(compiled by `tf.function`) of three networks that compute the same: the masked
one, with masks as they are in the finetune phase; the plain one that
`ht.strip_masks` makes of it, whose removed channels are zeros; and the smaller
one of `ht.shrink`. They are called in turn in one run; what counts are the
ratios. Weights and operations before and after are in it, too.

The weights are initial ones, batch normalisation has the statistics of one
batch of noise, and the channels kept are those of the largest weights: what a
channel holds does not matter to the time.
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

_MODEL = flags.DEFINE_string("model", "resnet18", "A name of ht.models.")
_GRANULARITY = flags.DEFINE_enum(
    "granularity",
    "channel",
    ["channel", "filter", "head", "neuron"],
    "What is pruned.",
)
_DENSITY = flags.DEFINE_float("density", 0.5, "Fraction of channels kept.")
_BATCH_SIZES = flags.DEFINE_multi_integer(
    "batch_size", [1, 32], "Images per call; may be repeated."
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Dtype policy.",
)
_CALLS = flags.DEFINE_integer("calls", 25, "Timed calls each.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import keras
    import numpy as np
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks import batch_norm

    keras.config.set_dtype_policy(_PRECISION.value)
    keras.utils.set_random_seed(0)
    network = ht.models.create(_MODEL.value, (32, 32, 3), 10)
    images = tf.random.stateless_uniform([32, 32, 32, 3], seed=[0, 1])
    batch_norm.set_statistics(network, images)
    masked = ht.to_masked(
        network, granularity=_GRANULARITY.value, density=_DENSITY.value
    )
    ht.set_phase(masked, "finetune")
    models = {
        "masked": masked,
        "stripped": ht.strip_masks(masked),
        "shrunk": ht.shrink(masked),
    }
    expected = models["masked"](images).numpy().astype(np.float64)
    actual = models["shrunk"](images).numpy().astype(np.float64)
    costs = ht.shrink_report(models["stripped"], models["shrunk"], repeats=1)
    print(
        json.dumps(
            {
                "model": _MODEL.value,
                "granularity": _GRANULARITY.value,
                "density": _DENSITY.value,
                "precision": _PRECISION.value,
                "largest_difference": np.abs(expected - actual).max(),
                "largest_logit": np.abs(expected).max(),
                "weights": [costs.before.weights, costs.after.weights],
                "flops": [costs.before.flops, costs.after.flops],
                "batches": [
                    _timed(models, batch_size)
                    for batch_size in _BATCH_SIZES.value
                ],
            },
            indent=2,
        )
    )


def _timed(models, batch_size: int) -> dict[str, object]:
    """Returns the seconds that calls of the models take, and their ratios."""
    import tensorflow as tf

    from benchmarks.timing import median_seconds

    images = tf.random.stateless_uniform([batch_size, 32, 32, 3], seed=[0, 2])

    def caller(model):
        call = tf.function(lambda x: model(x, training=False), autograph=False)
        return lambda: call(images).numpy()

    seconds = median_seconds(
        {name: caller(model) for name, model in models.items()},
        repeats=_CALLS.value,
        warmup=4,
    )
    return {
        "batch_size": batch_size,
        "seconds": seconds,
        "speedup_over_masked": seconds["masked"] / seconds["shrunk"],
        "speedup_over_stripped": seconds["stripped"] / seconds["shrunk"],
    }


if __name__ == "__main__":
    app.run(main)
