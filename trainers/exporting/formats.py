"""The formats beside a SavedModel: written, measured and shown.

```
formats/litert_int8.tflite    a file for each of --formats
formats/vnnlib/               with --vnnlib_images, properties of images
metrics.json                  formats: size, time, accuracy, robustness
```
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from flags import export_flags
from hydra_tf import evaluation
from hydra_tf import export
from hydra_tf import files
from hydra_tf import text
from hydra_tf.errors import InputError
from hydra_tf.export import serving
from hydra_tf.export.one_file import info_of
from hydra_tf.progress import say
from hydra_tf.registry.export import FORMATS
from hydra_tf.registry.export import Format
from trainers.model_card import formats_section
from trainers.run import datasets
from trainers.run.folder import RunFolder
from trainers.training.settings import Settings

# Training images that give the ranges of int8.
_REPRESENTATIVE = 500
# Test images that all formats are measured on, unless flags say.
_MEASURED = 500
# Test images that TensorFlow Serving warms up with.
_WARM_UP = 32
# Restarts, steps and queries of the attacks.
_ATTACKS: dict[str, int] = {
    "num_steps": 50,
    "num_restarts": 1,
    "num_queries": 1000,
}


def check(
    parsed: Settings, changes: export_flags.ExportSettings, folder: RunFolder
) -> None:
    """Checks that the formats can be written, before anything is.

    Args:
        parsed: What the flags of data and evaluation say.
        changes: What those of the export say.
        folder: Folder of the export.

    Raises:
        InputError: If a package is missing, there is no radius for properties,
            or the version cannot be written.
    """
    if "onnx" in changes.formats:
        for package in ("onnx", "onnxruntime", "tf2onnx"):
            if importlib.util.find_spec(package) is None:
                raise InputError(
                    f"--formats=onnx: {package} is not installed: "
                    "pip install 'hydra_tf[onnx]'"
                )
    if changes.vnnlib_images and not parsed.evaluation.epsilon:
        raise InputError(
            f"--vnnlib_images={changes.vnnlib_images} needs a radius above 0. "
            "Received: --eval_epsilon=0"
        )
    if "serving" in changes.formats:
        place = folder.serving / changes.serving_name
        try:
            there = serving.versions(place)
        except InputError as error:
            message = str(error).replace("`path`=", "--serving_name: ")
            raise InputError(message) from error
        version = changes.serving_version
        if version in there:
            raise InputError(
                f"--serving_version={version} exists: {place / str(version)}; "
                f"leave it out for {max(there) + 1}, the next"
            )


@dataclasses.dataclass(frozen=True)
class Made:
    """What an export has at hand before it writes into its folder.

    Attributes:
        formats: Those beside TensorFlow Serving's.
        files: The content of their files by name.
        images: Test images to measure by, and to warm up with.
        labels: Their classes.
        class_names: What these are called.
    """

    formats: list[Format]
    files: dict[str, bytes]
    images: Any
    labels: Any
    class_names: Sequence[str]


def make(
    network: keras.Model,
    parsed: Settings,
    changes: export_flags.ExportSettings,
    source: str,
) -> Made:
    """Reads the images and converts a network, and writes nothing.

    Args:
        network: The network, masked or not.
        parsed: What the flags of data and evaluation say.
        changes: What those of the export say.
        source: The flag that named the network.

    Raises:
        InputError: If there are no images, or a format cannot hold the
            network.
    """
    wanted = [FORMATS[name] for name in changes.formats if name != "serving"]
    if all(each.name == "saved_model" for each in wanted):
        wanted = []
    images = labels = samples = None
    class_names: Sequence[str] = ()
    if wanted or "serving" in changes.formats:
        count = parsed.num_examples or _few(parsed) if wanted else _WARM_UP
        test = datasets.test_images(parsed.data, count)
        images, labels, class_names = test
        if changes.vnnlib_images > len(images):
            raise InputError(
                f"--vnnlib_images={changes.vnnlib_images} must be at most "
                f"{len(images)}, the test images that formats are measured on "
                "(--eval_examples)"
            )
    if any(each.quantize == "int8" for each in wanted):
        samples = _samples(parsed)
    content = {}
    with tempfile.TemporaryDirectory() as place:
        for each in wanted:
            if each.name == "saved_model":
                continue
            path = pathlib.Path(place) / f"{each.name}{each.suffix}"
            try:
                _convert(each, network, path, parsed, samples)
            except InputError as error:
                message = str(error).replace("`model`", source)
                raise InputError(f"--formats={each.name}: {message}") from error
            content[each.name] = path.read_bytes()
    return Made(wanted, content, images, labels, class_names)


def write(
    made: Made,
    network: keras.Model,
    parsed: Settings,
    changes: export_flags.ExportSettings,
    folder: RunFolder,
    saved_model: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Writes a network in all formats; returns what was measured of each.

    Args:
        made: What `make` returned.
        network: The network, masked or not.
        parsed: What the flags of data and evaluation say.
        changes: What those of the export say.
        folder: Folder of the export, with the SavedModel.
        saved_model: What is known of it.
    """
    # What an earlier export wrote may be of another network.
    files.remove(folder.formats)
    if not made.formats:
        return {}
    entries, functions = {}, {}
    for each in made.formats:
        if each.name == "saved_model":
            entries[each.name] = {
                key: saved_model[key] for key in ("bytes", "compressed_bytes")
            } | {"path": folder.saved_model.name}
            functions[each.name] = _saved_model_function(folder.saved_model)
            continue
        path = folder.formats / f"{each.name}{each.suffix}"
        content = made.files[each.name]
        with files.replacing_file(path) as partial:
            partial.write_bytes(content)
        info = info_of(path, content)
        entries[each.name] = {
            "bytes": info.bytes,
            "compressed_bytes": info.compressed_bytes,
            "path": str(path.relative_to(folder.path)),
        }
        functions[each.name] = _function(each, path, changes.latency_threads)
    measured = evaluation.ArtifactEvaluation(
        network,
        made.images,
        made.labels,
        epsilon=parsed.evaluation.epsilon,
        seed=parsed.seed,
        **_ATTACKS,
    )
    for name, function in functions.items():
        entries[name] |= {
            **measured.measure(function).to_dict(),
            "epsilon": parsed.evaluation.epsilon,
            **_ATTACKS,
        }
        if name != "saved_model":
            entries[name]["threads"] = changes.latency_threads
    if changes.vnnlib_images:
        written = export.export_vnnlib(
            folder.formats / "vnnlib",
            made.images[: changes.vnnlib_images],
            made.labels[: changes.vnnlib_images],
            epsilon=parsed.evaluation.epsilon,
            num_classes=parsed.data.info.num_classes,
            onnx="../onnx.onnx",
        )
        say(f"VNN-LIB: {len(written)} properties in {written[0].parent}")
    say(f"\n{text.table(*formats_section.cells(entries))}\n")
    say(f"{formats_section.note(entries)}\n")
    return entries


def write_serving(
    made: Made,
    network: keras.Model,
    parsed: Settings,
    changes: export_flags.ExportSettings,
    folder: RunFolder,
) -> dict[str, Any]:
    """Writes the next version for TensorFlow Serving; returns its record.

    The arguments are those of `write`.
    """
    place = folder.serving / changes.serving_name
    info = export.export_serving(
        network,
        place,
        version=changes.serving_version,
        images=made.images[:_WARM_UP],
        class_names=made.class_names,
    )
    say(f"TensorFlow Serving: {info.path}")
    path = place.relative_to(folder.path) / pathlib.Path(info.path).name
    return {**info.to_dict(), "path": str(path)}


def _few(parsed: Settings) -> int | None:
    """Returns how many of many test images are taken."""
    return _MEASURED if parsed.data.info.num_test > _MEASURED else None


def _samples(parsed: Settings) -> np.ndarray:
    """Returns training images, of all classes."""
    train = parsed.data.load("train", batch_size=1)
    return train.arrays(_REPRESENTATIVE)[0]


def _convert(
    wanted: Format,
    network: keras.Model,
    path: pathlib.Path,
    parsed: Settings,
    samples: np.ndarray | None,
) -> None:
    if wanted.suffix == ".onnx":
        export.export_onnx(network, path)
        return
    export.export_litert(
        network,
        path,
        quantize=wanted.quantize,
        sparse=wanted.sparse,
        representative=samples,
        # Where the network leaves sizes open.
        input_shape=tuple(parsed.data.info.image_shape),
    )


def _function(
    wanted: Format, path: pathlib.Path, threads: int
) -> Callable[[Any], np.ndarray]:
    load = (
        export.onnx_function
        if wanted.suffix == ".onnx"
        else export.litert_function
    )
    return load(path, threads=threads)


def _saved_model_function(path: pathlib.Path) -> Callable[[Any], np.ndarray]:
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def logits_of(images: Any) -> np.ndarray:
        return serve(images=tf.constant(images))["logits"].numpy()

    # The signature does not keep the variables alive.
    logits_of.loaded = loaded  # type: ignore[attr-defined]
    return logits_of
