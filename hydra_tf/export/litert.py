"""A pruned network as a LiteRT (TensorFlow Lite) file, for phones and CPUs."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.export.one_file import FileInfo
from hydra_tf.export.one_file import check_shape
from hydra_tf.export.one_file import checked_path
from hydra_tf.export.one_file import info_of
from hydra_tf.export.quiet import quiet
from hydra_tf.export.served import ServedNetwork
from hydra_tf.export.served import check_model
from hydra_tf.export.served import check_precision
from hydra_tf.export.served import served_network
from hydra_tf.registry.export import QUANTIZE
from hydra_tf.registry.export import SPARSE
from hydra_tf.registry.export import THREADS

# More images than these change the ranges of activations little.
_MOST_REPRESENTATIVE = 500
# What the converter says of an operation without a kernel.
_LACKING = re.compile(r"'tf\.(\w+)' op is neither")
# What loops of recurrent layers are made of, if the converter cannot lower it.
_LOOP = "TensorListReserve"


def export_litert(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "none",
    sparse: bool = False,
    representative: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
) -> FileInfo:
    """Writes a model as a LiteRT file.

    Masked layers are stripped first, batch normalisation is folded into the
    kernels. Input (`images`, float32 in [0, 1], any number of them) and output
    (logits, float32) are those of `export_saved_model`, also of an int8 file,
    which quantises at its ends. Weights are int8 around zero, with a scale for
    each output channel: a pruned weight is 0 before and after.

    Args:
        model: A model with one input and one output, the logits.
        path: File to write, `*.tflite`; one that is there is replaced.
        quantize: `"none"` for float32; `"float16"` for weights of half the
            size; `"dynamic"` for int8 weights, with activations quantised as
            they come; `"int8"` for integers throughout, which needs
            `representative`.
        sparse: Whether kernels with many zeros are stored without them (the
            converter does so from 30 % on), if that makes the file smaller.
            They are unpacked as the file is loaded, and computed as
            others are, but for 1x1 convolutions with two thirds of zeros in a
            network such as `ht.models.mobilenet`: XNNPACK has sparse kernels
            for those, which it uses on Arm, and on x86 without AVX. A sparse
            int8 file runs on LiteRT's own kernels, without XNNPACK: see
            `litert_function`.
        representative: Training images in [0, 1], shape `(images, ...)`, whose
            activations give the ranges of int8; 100 to 500 will do, and no
            more are used.
        input_shape: Shape of one example, for a model that does not know its
            own, or to fix sizes that it leaves open. LiteRT wants all but the
            number of images fixed.

    Returns:
        Where the file is and how large.

    Raises:
        InputError: If the model or an argument cannot be used, or LiteRT has
            no kernel for one of its operations.
        FileError: If `path` cannot be written.

    Example:
    ```python
    ht.export.export_litert(
        network, "run/network.tflite", quantize="int8", representative=images
    )
    ```
    """
    check_model(model)
    path = checked_path(path, ".tflite")
    QUANTIZE.check(quantize)
    SPARSE.check(sparse)
    served = served_network(model, input_shape)
    check_precision(served.model, "LiteRT")
    if None in served.shape:
        raise InputError(
            f"`input_shape` must be given: the model takes {served.shape}, and "
            "LiteRT wants fixed sizes"
        )
    samples = _samples(representative, served, quantize)
    content = _converted(served, quantize, False, samples)
    if sparse:
        shorter = _converted(served, quantize, True, samples)
        # Few zeros take more room without than with them.
        content = min(content, shorter, key=len)
    with files.replacing_file(path) as partial:
        partial.write_bytes(content)
    return info_of(path, content)


def litert_function(
    path: str | os.PathLike, *, threads: int = 1
) -> Callable[[Any], np.ndarray]:
    """Returns the function from images to logits of a LiteRT file.

    It runs in `ai-edge-litert` if that is installed, else in the interpreter
    that TensorFlow brings along; with XNNPACK where that takes the file, else
    with the kernels of LiteRT alone.

    Args:
        path: The `.tflite` file.
        threads: Integer >= 1, threads of the interpreter.

    Returns:
        A callable from float images in [0, 1], shape `(images, ...)`, to
        float32 logits, NumPy arrays both. It has no gradients. One call at a
        time.

    Raises:
        InputError: If the file or an argument cannot be used.

    Example:
    ```python
    logits = ht.export.litert_function("run/network.tflite")(images)
    ```
    """
    THREADS.check(threads)
    interpreter = interpreter_of(path, threads=threads, xnnpack=True)
    uses_xnnpack = True
    try:
        (taken,) = interpreter.get_input_details()
        (given,) = interpreter.get_output_details()
    except ValueError as error:
        raise InputError(
            f"{path} cannot be used: it has several inputs or outputs"
        ) from error

    shape: tuple[int, ...] = ()  # What the tensors are allocated for.

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            shape = ()
            with quiet():
                interpreter.resize_tensor_input(taken["index"], images.shape)
                interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    def logits_of(images: Any) -> np.ndarray:
        nonlocal interpreter, shape, uses_xnnpack
        images = np.asarray(images, taken["dtype"])
        check_shape(images, taken["shape_signature"][1:])
        try:
            return run(images)
        except RuntimeError:
            if not uses_xnnpack:
                raise
        # XNNPACK refuses sparse int8 kernels, as they are prepared.
        interpreter = interpreter_of(path, threads=threads)
        shape, uses_xnnpack = (), False
        return run(images)

    return logits_of


def interpreter_of(
    path: str | os.PathLike,
    *,
    threads: int = 1,
    xnnpack: bool = False,
    keep_tensors: bool = False,
) -> Any:
    """Returns the interpreter of a LiteRT file.

    Args:
        path: The file.
        threads: Integer >= 1, its threads.
        xnnpack: Whether XNNPACK computes what it can.
        keep_tensors: Whether all that is computed can be looked at.

    Raises:
        InputError: If it is no such file.
        FileError: If it cannot be read.
    """
    path = files.as_path(path)
    with files.naming(path, "read"):
        content = path.read_bytes()
    make, kinds = _runtime()
    kind = kinds.AUTO if xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():
            return make(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=kind,
                experimental_preserve_all_tensors=keep_tensors,
            )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be used: it must be a LiteRT file "
            f"({str(error)[:200]})"
        ) from error


def _runtime() -> tuple[Any, Any]:
    """Returns the class of an interpreter, and its kinds of kernels."""
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        return tf.lite.Interpreter, tf.lite.experimental.OpResolverType
    return litert.Interpreter, litert.OpResolverType


def _samples(
    representative: Any, served: ServedNetwork, quantize: str
) -> np.ndarray | None:
    """Returns the images that give the ranges of int8, if they are needed."""
    if quantize != "int8":
        return None
    if representative is None:
        raise InputError(
            "`representative` must be given with quantize='int8': some hundred "
            "training images in [0, 1]"
        )
    images = inputs.as_array(representative)
    inputs.check_images(images, "representative", shape=served.shape)
    return np.asarray(images[:_MOST_REPRESENTATIVE], served.dtype)


def _converted(
    served: ServedNetwork,
    quantize: str,
    sparse: bool,
    samples: np.ndarray | None,
) -> bytes:
    """Returns the content of the file."""
    function = tf.function(served.logits).get_concrete_function(served.spec)
    # The converter looks for the variables here.
    module = tf.Module()
    module.weights = served.weights
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function], module
    )
    if sparse or quantize != "none":
        converter.optimizations = [
            *([tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else ()),
            *([tf.lite.Optimize.DEFAULT] if quantize != "none" else ()),
        ]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if samples is not None:
        converter.representative_dataset = lambda: (
            [samples[row : row + 1]] for row in range(len(samples))
        )
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
    try:
        with quiet():
            return converter.convert()
    except Exception as error:
        raise InputError(
            "`model` cannot be written as LiteRT: "
            + _reason(str(error), function.graph.get_operations())
        ) from error


def _reason(message: str, operations: Iterable[Any]) -> str:
    """Returns in a line what the converter found lacking."""
    kinds, hint = _LACKING.findall(message), ""
    if not kinds and "tensor list" in message:
        kinds, hint = [_LOOP], "; build recurrent layers with unroll=True"
    for kind in kinds:
        # Operations are named after their layers.
        places = [each.name for each in operations if each.type == kind]
        return (
            f"LiteRT has no kernel for {kind}, of {' and '.join(places)}{hint}"
        )
    lines = message.strip().splitlines() or ["the converter gives no reason"]
    return textwrap.shorten(lines[-1], 200)
