"""Times one training step on a masked network and on the plain one.

    python -m benchmarks.train_step --phase=prune --density=0.1
    python -m benchmarks.train_step --model=vit_tiny --phase=finetune

Prints JSON: seconds per step of both, images per second, their ratio, and the
share of the masked step that computing masks and effective kernels takes (the
forward selection, multiplication and straight-through gradient alone). Both
networks are stepped in turn in one run. The plain one trains its kernels under
the same objective, which is what a step costs without masks.
"""

from __future__ import annotations

import json
import os
import sys
import time

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_MODEL = flags.DEFINE_string(
    "model", "cifar_model_large", "A name of ht.models."
)
_OBJECTIVE = flags.DEFINE_string("objective", "trades", "A name of objectives.")
_PHASE = flags.DEFINE_enum(
    "phase", "prune", ["pretrain", "prune", "finetune"], "Phase of the step."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per step.")
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Dtype policy.",
)
_DENSITY = flags.DEFINE_float("density", 0.1, "Fraction of weights kept.")
_CLOCK = flags.DEFINE_enum(
    "clock",
    "wall",
    ["wall", "cpu"],
    "What is measured: time, or CPU time of all cores, which an otherwise busy "
    "machine hardly changes.",
)
_STEPS = flags.DEFINE_integer("steps", 9, "Timed steps of each.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import keras
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks.timing import median_seconds

    precision = _PRECISION.value
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    plain = ht.models.create(_MODEL.value, (32, 32, 3), 10)
    # As phases do, which may replace layers.
    plain = ht.training.with_precision(plain, precision)
    masked = ht.training.with_precision(ht.to_masked(plain), precision)
    ht.set_density(masked, _DENSITY.value)
    ht.set_phase(masked, _PHASE.value)

    batch = _BATCH_SIZE.value
    images = tf.random.stateless_uniform([batch, 32, 32, 3], seed=[0, 1])
    labels = tf.random.stateless_uniform(
        [batch], seed=[0, 2], maxval=10, dtype=tf.int32
    )

    def stepper(network):
        robust = ht.RobustModel(network, ht.objectives.create(_OBJECTIVE.value))
        robust.compile(ht.training.SGD(1e-3, momentum=0.9, weight_decay=1e-4))
        robust.optimizer.build(robust.trainable_variables)
        step = tf.function(robust.train_step)
        return lambda: step((images, labels))["loss"].numpy()

    @tf.function
    def masks_only():
        layers = ht.masked_layers(masked).values()
        variables = masked.trainable_variables
        with tf.GradientTape() as tape:
            kernels = [layer.effective_kernel for layer in layers]
        gradients = tape.gradient(kernels, variables, output_gradients=kernels)
        # One number that depends on everything, so that nothing is skipped.
        return tf.add_n(
            [
                tf.reduce_sum(tf.cast(g, tf.float32))
                for g in [*kernels, *gradients]
                if g is not None
            ]
        )

    seconds = median_seconds(
        {
            "masked": stepper(masked),
            "unmasked": stepper(plain),
            "masks": lambda: masks_only().numpy(),
        },
        repeats=_STEPS.value,
        warmup=3,
        clock=time.process_time if _CLOCK.value == "cpu" else time.perf_counter,
    )
    print(
        json.dumps(
            {
                "model": _MODEL.value,
                "objective": _OBJECTIVE.value,
                "phase": _PHASE.value,
                "batch_size": batch,
                "precision": precision,
                "density": _DENSITY.value,
                "clock": _CLOCK.value,
                "seconds_per_step": seconds["masked"],
                "images_per_second": batch / seconds["masked"],
                "unmasked_seconds_per_step": seconds["unmasked"],
                "ratio_to_unmasked": seconds["masked"] / seconds["unmasked"],
                "mask_share": seconds["masks"] / seconds["masked"],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    app.run(main)
