"""Measures what `import hydra_tf` adds to TensorFlow and Keras.

    python -m benchmarks.import_time

Prints JSON: seconds of CPU, the least of several processes, and the number of
modules that are loaded. Where Python keeps no byte code
(PYTHONDONTWRITEBYTECODE), it compiles every module again each time, which takes
twice as long as all the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_REPEATS = flags.DEFINE_integer("repeats", 5, "Processes.", lower_bound=1)

_PROGRAM = """
import json, sys, time
import keras, tensorflow
keras.layers.Dense(1)
before, start = set(sys.modules), time.process_time()
import hydra_tf
seconds = time.process_time() - start
print(json.dumps([seconds, len(set(sys.modules) - before)]))
"""


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    measured = [_import() for _ in range(_REPEATS.value)]
    seconds, modules = min(measured)
    print(json.dumps({"cpu_seconds": seconds, "modules": modules}, indent=2))


def _import() -> list[float]:
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(result.stdout)


if __name__ == "__main__":
    app.run(main)
