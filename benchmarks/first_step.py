"""Measures the CPU time of the first training step of a deep network.

    python -m benchmarks.first_step --model=MobileNetV2

The first step traces the network, differentiates it and lets TensorFlow
optimise the graph: what a user waits for before anything moves. Prints JSON:
seconds of CPU (of all cores together, which an otherwise busy machine hardly
changes) of Keras' own natural step on the plain network, then of the step
under an objective in each phase, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_PHASES = ("pretrain", "prune", "finetune")
_MODEL = flags.DEFINE_string(
    "model", "MobileNetV2", "A name of keras.applications."
)
_OBJECTIVE = flags.DEFINE_string("objective", "trades", "A name of objectives.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Sides of the images.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in the step.")
_ONLY = flags.DEFINE_enum(
    "only", None, ["natural", *_PHASES], "Measure this, in this process."
)


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    if _ONLY.value:
        print(json.dumps(measure(_ONLY.value)))
        return
    figures = {}
    for step in ("natural", *_PHASES):
        command = [sys.executable, "-m", "benchmarks.first_step"]
        result = subprocess.run(
            [*command, *sys.argv[1:], f"--only={step}"],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        figures[step] = json.loads(result.stdout)
    print(json.dumps({"model": _MODEL.value, **figures}, indent=2))


def measure(step: str) -> dict[str, float]:
    """Returns the CPU seconds of a first and of a later step.

    Args:
        step: `"natural"`, or a phase under the objective.
    """
    import keras
    import numpy as np

    import hydra_tf as ht

    size, batch = _IMAGE_SIZE.value, _BATCH_SIZE.value
    network = getattr(keras.applications, _MODEL.value)(
        weights=None,
        input_shape=(size, size, 3),
        classes=10,
        classifier_activation=None,
    )
    images = np.random.default_rng(0).random((batch, size, size, 3), np.float32)
    labels = np.arange(batch, dtype=np.int32) % 10
    if step == "natural":
        model = network
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01), loss)
    else:
        if step != "pretrain":
            network = ht.start_pruning(network, density=0.1)
            ht.set_phase(network, step)
        objective = ht.objectives.create(_OBJECTIVE.value)
        model = ht.RobustModel(network, objective)
        model.compile(ht.training.SGD(0.01))

    def cpu_seconds() -> float:
        start = time.process_time()
        model.train_on_batch(images, labels)
        return round(time.process_time() - start, 2)

    return {"first": cpu_seconds(), "second": cpu_seconds()}


if __name__ == "__main__":
    app.run(main)
