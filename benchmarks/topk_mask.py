"""Times the top-k mask against `tf.math.top_k` and a scatter.

    python -m benchmarks.topk_mask --size=8000000

Prints JSON: median seconds of both at each density, and their ratio (below 1:
ours is faster). The masks are compared before they are timed.
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

_SIZE = flags.DEFINE_integer(
    "size", 8_000_000, "Number of scores.", lower_bound=1
)
_DENSITIES = flags.DEFINE_list(
    "densities", ["0.01", "0.05", "0.1", "0.25", "0.5"], "Densities to time."
)
_REPEATS = flags.DEFINE_integer(
    "repeats", 5, "Timed calls of each, in turn.", lower_bound=1
)


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks.timing import median_seconds

    size = _SIZE.value
    scores = tf.random.stateless_normal([size], seed=[1, 2])
    rows = []
    for text in _DENSITIES.value:
        density = float(text)
        kept = ht.kept_count(density, size)

        @tf.function
        def ours(scores, density=density):
            return ht.topk_mask(scores, density)

        @tf.function
        def sorting(scores, kept=kept):
            _, indices = tf.math.top_k(tf.abs(scores), kept, sorted=False)
            return tf.scatter_nd(indices[:, None], tf.ones([kept]), [size])

        if not bool(tf.reduce_all(ours(scores) == sorting(scores))):
            raise AssertionError(f"the masks differ at density {density}")
        seconds = median_seconds(
            {
                "topk_mask": lambda f=ours: f(scores)[0].numpy(),
                "tf_top_k_and_scatter": lambda f=sorting: f(scores)[0].numpy(),
            },
            repeats=_REPEATS.value,
            warmup=1,
        )
        ratio = seconds["topk_mask"] / seconds["tf_top_k_and_scatter"]
        rows.append({"density": density, **seconds, "ratio": ratio})
    print(json.dumps({"size": size, "results": rows}, indent=2))


if __name__ == "__main__":
    app.run(main)
