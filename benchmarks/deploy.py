r"""Size and time of a network as it is deployed.

    python -m benchmarks.deploy --model=resnet18 --density=0.5
    python -m benchmarks.deploy --model=vgg16_bn --density=0.05 \
        --granularity=weight
    python -m benchmarks.deploy --model=mobilenet --density=0.1 \
        --granularity=weight --exclude='stem,*_depthwise,logits' \
        --formats=saved_model,litert,litert_sparse,litert_int8

Masks a network with random weights, and writes it as it was, with its zeros and
(where whole channels are gone) without them, in each format. Prints sizes,
sizes after gzip, and milliseconds of a call with one image and with several,
median and 95th percentile, side by side in one run, and how many times as fast
as the first row each is: the dense float32 SavedModel unless --formats says
otherwise. TensorFlow, LiteRT and ONNX Runtime
have as many threads as --threads says.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from absl import logging  # noqa: E402

_MODEL = flags.DEFINE_string("model", "resnet18", "Name of hydra_tf.models.")
_DENSITY = flags.DEFINE_float("density", 0.5, "Fraction that is kept.", 0, 1)
_GRANULARITY = flags.DEFINE_enum(
    "granularity", "channel", ["channel", "filter", "weight"], "What is pruned."
)
_EXCLUDE = flags.DEFINE_list("exclude", [], "Layers that are left as they are.")
_THREADS = flags.DEFINE_integer("threads", 2, "Threads.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "The larger batch.", 1)
_FORMATS = flags.DEFINE_list(
    "formats",
    ["saved_model", "litert", "litert_int8"],
    "Formats; those of trainers.export.",
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Side of the images.")


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    logging.set_verbosity(logging.WARNING)
    import keras
    import numpy as np
    import tensorflow as tf

    import hydra_tf as ht
    from benchmarks import batch_norm
    from hydra_tf import text
    from hydra_tf.registry.export import FORMATS

    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = np.random.default_rng(0).random(
        (max(_BATCH_SIZE.value, 64), *shape), np.float32
    )
    dense = ht.models.create(_MODEL.value, shape, 10)
    masked = ht.to_masked(
        dense,
        density=_DENSITY.value,
        granularity=_GRANULARITY.value,
        exclude=_EXCLUDE.value,
    )
    ht.init_scores(masked, "scaled")
    pruned = ht.strip_masks(masked)
    for network in (dense, pruned):
        batch_norm.set_statistics(network, images[:64])
    networks = {"dense": dense, "pruned": pruned}
    if _GRANULARITY.value != "weight":
        networks["shrunk"] = ht.shrink(pruned)
    rows, base = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for variant, network in networks.items():
            for name in _FORMATS.value:
                size, compressed, function = _written(
                    network, FORMATS[name], pathlib.Path(folder), images
                )
                times = [
                    ht.evaluation.latency(function, images[:count])
                    for count in (1, _BATCH_SIZE.value)
                ]
                for each in times:
                    base.setdefault(each.batch_size, each.median)
                rows.append(
                    [
                        f"{variant}, {FORMATS[name].title}",
                        text.size(size),
                        text.size(compressed),
                        *[
                            cell
                            for each in times
                            for cell in (
                                f"{each.median:.3g} ({each.p95:.3g})",
                                f"{base[each.batch_size] / each.median:.1f}",
                            )
                        ],
                    ]
                )
    header = ["network", "size", "gzip"]
    for count in (1, _BATCH_SIZE.value):
        header += [f"ms for {count}", "times as fast"]
    print(text.table(header, rows))


def _written(network, wanted, folder: pathlib.Path, images):
    """Returns the sizes of a file, and the function that it holds."""
    import tensorflow as tf

    import hydra_tf as ht

    if wanted.name == "saved_model":
        info = ht.export_saved_model(network, folder / "saved_model")
        loaded = tf.saved_model.load(info.path)
        serve = loaded.signatures["serving_default"]

        def function(batch, loaded=loaded):
            return serve(images=tf.constant(batch))["logits"].numpy()

        return info.bytes, info.compressed_bytes, function
    path = folder / f"network{wanted.suffix}"
    if wanted.suffix == ".onnx":
        info = ht.export.export_onnx(network, path)
        function = ht.export.onnx_function(path, threads=_THREADS.value)
    else:
        info = ht.export.export_litert(
            network,
            path,
            quantize=wanted.quantize,
            sparse=wanted.sparse,
            representative=images[:64],
        )
        function = ht.export.litert_function(path, threads=_THREADS.value)
    return info.bytes, info.compressed_bytes, function


if __name__ == "__main__":
    app.run(main)
