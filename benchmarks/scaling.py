"""Times training steps on several devices and on several workers.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --model=cifar_model_large --workers=1,2

Prints JSON, in two parts. `devices`: seconds per step of one device and of two
logical ones (`--strategy=mirrored:2`) with the same global batch, stepped in
turn in one process; `overhead` is what two take longer. Of that `unavoidable`
is what two steps of half a batch, one after the other, take longer than one of
the whole: each replica updates all weights, and smaller batches are slower;
`beside_the_unavoidable` is the rest.

`workers`: the weak scaling, each worker a process on this machine with
`--batch_size` images of its own: seconds per step, images per second of all,
their ratio to that of one worker times their number (`efficiency`), and the
share of the step that summing all gradients takes when it does nothing else
(`all_reduce_share`). Workers on one machine share its cores: efficiency cannot
be above cores / (workers * cores that one uses).
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from absl import logging  # noqa: E402

_MODEL = flags.DEFINE_string("model", "cifar_model", "A name of ht.models.")
_OBJECTIVE = flags.DEFINE_string("objective", "trades", "A name of objectives.")
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "Images per step, of each worker.", lower_bound=2
)
_STEPS = flags.DEFINE_integer("steps", 9, "Timed steps.", lower_bound=1)
_WORKERS = flags.DEFINE_list("workers", ["1", "2", "4"], "Numbers of workers.")
_PART = flags.DEFINE_enum(
    "part",
    "all",
    ["all", "devices", "worker"],
    "What this process measures; worker is one of them, under TF_CONFIG.",
)
_WARMUP = 3


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    logging.set_verbosity(logging.ERROR)
    if _PART.value == "devices":
        print(json.dumps(devices()))
    elif _PART.value == "worker":
        print(json.dumps(worker()))
    else:
        result: dict[str, Any] = {
            "model": _MODEL.value,
            "objective": _OBJECTIVE.value,
            "batch_size": _BATCH_SIZE.value,
            "cores": os.cpu_count(),
            "devices": _start("devices"),
            "workers": {},
        }
        for number in map(int, _WORKERS.value):
            one = _cluster(number)
            one["images_per_second"] = (
                number * _BATCH_SIZE.value / one["seconds_per_step"]
            )
            first = next(iter(result["workers"].values()), one)
            one["efficiency"] = (
                first["seconds_per_step"] / one["seconds_per_step"]
            )
            result["workers"][number] = one
        print(json.dumps(result, indent=2))


def devices() -> dict[str, float]:
    """Times one device and two, and two halves of a batch on one."""
    import tensorflow as tf

    from benchmarks.timing import median_seconds
    from hydra_tf import training

    two = training.make_strategy("mirrored:2")
    one = tf.distribute.get_strategy()
    batch = _BATCH_SIZE.value
    half = _Stepper(one, batch // 2)

    def halves() -> None:
        half()
        half()

    seconds = median_seconds(
        {
            "one": _Stepper(one, batch),
            "two": _Stepper(two, batch),
            "halves": halves,
        },
        repeats=_STEPS.value,
        warmup=_WARMUP,
    )
    return {
        "seconds_of_one": seconds["one"],
        "seconds_of_two": seconds["two"],
        "overhead": seconds["two"] / seconds["one"] - 1,
        "unavoidable": max(seconds["halves"] / seconds["one"] - 1, 0.0),
        "beside_the_unavoidable": seconds["two"]
        / max(seconds["halves"], seconds["one"])
        - 1,
    }


def worker() -> dict[str, float]:
    """Times steps of all workers together, and their all-reduce alone."""
    import tensorflow as tf

    from hydra_tf import training

    strategy = training.make_strategy("multi_worker")
    workers = training.Workers(strategy)
    step = _Stepper(strategy, workers.count * _BATCH_SIZE.value)
    gradients = [tf.zeros(w.shape) for w in step.model.trainable_variables]

    @tf.function(autograph=False)
    def summed() -> Any:
        def reduced() -> Any:
            replica = tf.distribute.get_replica_context()
            return replica.all_reduce(
                tf.distribute.ReduceOp.SUM,
                [tf.identity(each) for each in gradients],
            )

        return strategy.run(reduced)

    def median(function: Any) -> float:
        times = []
        for number in range(_WARMUP + _STEPS.value):
            # All begin together.
            workers.wait()
            start = time.perf_counter()
            function()
            if number >= _WARMUP:
                times.append(time.perf_counter() - start)
        return statistics.median(times)

    seconds = median(step)
    share = median(lambda: tf.nest.flatten(summed())[-1]) / seconds
    workers.wait()
    return {"seconds_per_step": seconds, "all_reduce_share": share}


class _Stepper:
    """One training step at a call, of a model made for a strategy."""

    def __init__(self, strategy: Any, batch: int) -> None:
        import keras
        import tensorflow as tf

        import hydra_tf as ht

        keras.utils.set_random_seed(0)
        with strategy.scope():
            network = ht.models.create(_MODEL.value, (32, 32, 3), 10)
            self.model = ht.RobustModel(
                network, ht.objectives.create(_OBJECTIVE.value)
            )
            self.model.compile(ht.training.SGD(1e-3, momentum=0.9))
            self.model.optimizer.build(self.model.trainable_variables)
        images = tf.random.stateless_uniform([batch, 32, 32, 3], seed=[0, 1])
        labels = tf.random.stateless_uniform(
            [batch], seed=[0, 2], maxval=10, dtype=tf.int32
        )
        data = tf.data.Dataset.from_tensors((images, labels)).repeat()
        self._batches = iter(strategy.experimental_distribute_dataset(data))
        self.model.make_train_function()

    def __call__(self) -> float:
        return float(self.model.train_function(self._batches)["loss"])


def _cluster(number: int) -> dict[str, float]:
    """Starts so many workers; returns what the chief measured."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    started = [
        _process(
            "worker",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in range(number)
    ]
    return [_result(each) for each in started][0]


def _start(part: str) -> dict[str, float]:
    return _result(_process(part))


def _process(part: str, **environment: str) -> subprocess.Popen[str]:
    given = [word for word in sys.argv[1:] if not word.startswith("--part")]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.scaling", *given, f"--part={part}"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def _result(process: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    return json.loads(output.splitlines()[-1])


if __name__ == "__main__":
    app.run(main)
