"""Times the attacks of AutoAttack, and how much of it the network takes.

    python -m benchmarks.autoattack --threat_model=l2
    python -m benchmarks.autoattack --network=FILE.keras --full --examples=1000

Prints JSON: for each attack of the standard version the examples per second
that it takes through its whole budget, the seconds per 1,000 examples, and the
share of its time that as many forward and backward passes of the network take
in a loop of nothing else, both counted in CPU time, so that other programs
matter little; and the seconds per 1,000 examples of all attacks together.

These are for images that withstand: the radius is 0. A part of the budget is
run and counted up, as every step and query costs the same. With `--full`
AutoAttack itself is run at `--epsilon`, where each attack sees only what
withstood those before, and timed by the clock.

Images are noise and the network is an untrained one, unless `--network` names
a file.
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
    "model", "cifar_model_large", "Network, a name of ht.models."
)
_NETWORK = flags.DEFINE_string(
    "network", "", "Network, a .keras file; instead of --model."
)
_EXAMPLES = flags.DEFINE_integer("examples", 128, "Images.", lower_bound=1)
_THREAT_MODEL = flags.DEFINE_enum(
    "threat_model", "linf", ["linf", "l2"], "Norm of the ball."
)
_EPSILON = flags.DEFINE_float(
    "epsilon", None, "Radius with --full: by default 8/255 in Linf, 0.5 in L2."
)
_STEPS = flags.DEFINE_integer(
    "steps", 10, "Steps that are timed, out of 100.", lower_bound=1
)
_QUERIES = flags.DEFINE_integer(
    "queries", 200, "Queries that are timed, out of 5000.", lower_bound=1
)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed rounds.", lower_bound=1)
_FULL = flags.DEFINE_bool("full", False, "Whether to run AutoAttack itself.")


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import keras
    import numpy as np

    import hydra_tf as ht

    keras.utils.set_random_seed(0)
    if _NETWORK.value:
        network = keras.models.load_model(_NETWORK.value)
    else:
        network = ht.models.create(_MODEL.value, (32, 32, 3), 10)
    shape = (_EXAMPLES.value, *network.input_shape[1:])
    images = np.random.default_rng(0).random(shape, np.float32)
    labels = np.argmax(network.predict(images, verbose=0), axis=1)
    result = {
        "network": _NETWORK.value or _MODEL.value,
        "threat_model": _THREAT_MODEL.value,
        "examples": _EXAMPLES.value,
        "attacks": _attacks(network, images, labels),
    }
    result["standard"] = {
        "seconds_per_1000_examples": sum(
            each["seconds_per_1000_examples"]
            for each in result["attacks"].values()
        )
    }
    if _FULL.value:
        result["full"] = _full(network, images, labels)
    print(json.dumps(result, indent=2))


def _attacks(network, images, labels):
    """Returns what each attack costs for images that withstand."""
    import tensorflow as tf

    import hydra_tf as ht
    from hydra_tf.attacks.ensemble import VERSIONS

    num_targets = min(9, network.output_shape[-1] - 1)
    x, y = tf.constant(images), tf.constant(labels)
    passes = _passes(network, x)
    functions = {"forward": passes[0], "gradient": passes[1]}
    counts, budgets = {}, {}
    for part in VERSIONS["standard"]:
        attack = getattr(ht.attacks, part.attack)
        settings = dict(part.settings)
        attempts = num_targets if part.targeted else 1
        if part.targeted:
            settings |= {"target": 0, "num_targets": num_targets}
        unit = "num_queries" if part.attack == "square" else "num_steps"
        timed = _STEPS.value
        if part.attack == "square":
            # Rescaled, its squares are as small as those of a whole search.
            timed = _QUERIES.value
            settings["rescaled"] = True
        budgets[part.name] = attempts * settings[unit] / timed
        settings[unit] = timed
        # Forward passes, and gradients, which are a forward pass each.
        counts[part.name] = {
            "apgd": (0, timed + 1),
            "fab": (timed + 1, timed),
            "square": (timed + 2, 0),
        }[part.attack]
        run = tf.function(
            lambda attack=attack, settings=settings: attack(
                network,
                x,
                y,
                epsilon=0.0,
                threat_model=_THREAT_MODEL.value,
                seed=0,
                **settings,
            ),
            autograph=False,
        )
        functions[part.name] = lambda run=run: run().numpy()
    measured = _seconds(functions)
    forward, gradient = (
        measured[name][1] / _PASSES for name in ("forward", "gradient")
    )
    found = {}
    for name, (forwards, gradients) in counts.items():
        seconds = measured[name][0] * budgets[name]
        of_network = forwards * forward + gradients * gradient
        found[name] = {
            "examples_per_second": len(images) / seconds,
            "seconds_per_1000_examples": 1000 * seconds / len(images),
            "network_share": of_network / measured[name][1],
        }
    return found


def _seconds(functions):
    """Returns each function's median seconds, by the clock and of the CPU.

    A round calls every function once, in turn; the first is not timed.
    """
    import numpy as np

    taken = {name: [] for name in functions}
    for _ in range(1 + _REPEATS.value):
        for name, function in functions.items():
            start = time.perf_counter(), time.process_time()
            function()
            end = time.perf_counter(), time.process_time()
            taken[name].append(np.subtract(end, start))
    return {name: np.median(each[1:], axis=0) for name, each in taken.items()}


# Passes in a row that are timed.
_PASSES = 10


def _passes(network, x):
    """Returns functions that run forward passes, and gradients."""
    import tensorflow as tf

    def forward(x):
        return network(x, training=False)

    def gradient(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = tf.reduce_sum(network(x, training=False)[:, 0])
        return tape.gradient(total, x)

    def repeated(function):
        def step(number, total):
            # On the last result, so that no pass is taken for another.
            return number + 1, tf.reduce_sum(function(x + 0.0 * total))

        run = tf.function(
            lambda: tf.while_loop(
                lambda number, _: number < _PASSES, step, (0, 0.0)
            )[1],
            autograph=False,
        )
        return lambda: run().numpy()

    return repeated(forward), repeated(gradient)


def _full(network, images, labels):
    """Returns how long AutoAttack takes, by the clock."""
    import hydra_tf as ht

    epsilon = _EPSILON.value
    if epsilon is None:
        epsilon = {"linf": 8 / 255, "l2": 0.5}[_THREAT_MODEL.value]
    found = ht.attacks.autoattack(
        network,
        images,
        labels,
        epsilon=epsilon,
        threat_model=_THREAT_MODEL.value,
    )
    return {
        "epsilon": epsilon,
        "accuracy_after": found.accuracy_after,
        "seconds": found.seconds,
        "seconds_per_1000_examples": 1000 * found.seconds / len(images),
    }


if __name__ == "__main__":
    app.run(main)
