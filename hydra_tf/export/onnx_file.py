"""A pruned network as an ONNX file, for ONNX Runtime, TensorRT and provers."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.export.one_file import FileInfo
from hydra_tf.export.one_file import check_shape
from hydra_tf.export.one_file import checked_path
from hydra_tf.export.one_file import info_of
from hydra_tf.export.quiet import quiet
from hydra_tf.export.served import check_model
from hydra_tf.export.served import check_precision
from hydra_tf.export.served import served_network
from hydra_tf.registry.export import THREADS


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    input_shape: tuple[int | None, ...] | None = None,
) -> FileInfo:
    """Writes a model as an ONNX file, by Keras' own exporter.

    Masked layers are stripped first. The input is `images`, float32 in [0, 1],
    shape `(batch, height, width, channels)` with a free batch size; the output
    are the logits. Kernels of convolutions are stored as `(outputs, inputs,
    height, width)`, the layout of which TensorRT takes N:M zeros along the
    inputs.

    Args:
        model: A model with one input and one output, the logits.
        path: File to write, `*.onnx`; one that is there is replaced.
        input_shape: Shape of one example, for a model that does not know its
            own, or to fix sizes that it leaves open.

    Returns:
        Where the file is and how large.

    Raises:
        InputError: If the model cannot be used, computes in another precision
            than float32 or with an operation that ONNX lacks, or `tf2onnx` is
            not installed.
        FileError: If `path` cannot be written.

    Example:
    ```python
    ht.export.export_onnx(network, "run/network.onnx")
    ```
    """
    check_model(model)
    path = checked_path(path, ".onnx")
    _extend_tf2onnx()
    served = served_network(model, input_shape)
    check_precision(served.model, "ONNX")
    signature = [
        keras.InputSpec(
            dtype=served.dtype, shape=(None, *served.shape), name="images"
        )
    ]
    with files.replacing_file(path) as partial:
        try:
            with quiet():
                served.model.export(
                    partial,
                    format="onnx",
                    verbose=False,
                    input_signature=signature,
                )
        except Exception as error:
            raise InputError(
                "`model` cannot be written as ONNX: "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        content = partial.read_bytes()
        _check_operators(content)
    return info_of(path, content)


def onnx_function(
    path: str | os.PathLike, *, threads: int = 1
) -> Callable[[Any], np.ndarray]:
    """Returns the function from images to logits of an ONNX file.

    Args:
        path: The `.onnx` file.
        threads: Integer >= 1, threads of ONNX Runtime.

    Returns:
        A callable from float images in [0, 1], shape `(images, ...)`, to
        float32 logits, NumPy arrays both. It has no gradients.

    Raises:
        InputError: If the file or an argument cannot be used, or
            `onnxruntime` is not installed.

    Example:
    ```python
    logits = ht.export.onnx_function("run/network.onnx")(images)
    ```
    """
    THREADS.check(threads)
    try:
        import onnxruntime
    except ImportError as error:
        raise _not_installed("onnxruntime") from error
    path = files.as_path(path)
    with files.naming(path, "read"):
        content = path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        (taken,) = session.get_inputs()
        (_,) = session.get_outputs()
    except Exception as error:  # A class of its own for each reason.
        raise InputError(
            f"{path} cannot be used: it must be an ONNX file with one input "
            f"and one output ({str(error)[:200]})"
        ) from error

    def logits_of(images: Any) -> np.ndarray:
        images = np.asarray(images, np.float32)
        check_shape(images, taken.shape[1:])
        return session.run(None, {taken.name: images})[0]

    return logits_of


@functools.lru_cache(maxsize=1)
def _extend_tf2onnx() -> None:
    """Teaches tf2onnx the complementary error function, which GELU has."""
    try:
        import onnx  # noqa: F401  tf2onnx does not say that it needs this.
        from tf2onnx import utils
        from tf2onnx.handler import tf_op
    except ImportError as error:
        raise _not_installed("tf2onnx") from error

    @tf_op("Erfc")
    class Erfc:
        """1 - erf(x), of opset 9 on."""

        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            shape = ctx.get_shape(node.output[0])
            dtype = ctx.get_dtype(node.output[0])
            one = ctx.make_const(
                utils.make_name("one"), np.array(1.0, np.float32)
            )
            erf = ctx.make_node("Erf", [node.input[0]])
            ctx.remove_node(node.name)
            ctx.make_node(
                "Sub",
                [one.output[0], erf.output[0]],
                name=node.name,
                outputs=node.output,
                shapes=[shape],
                dtypes=[dtype],
            )


def _not_installed(package: str) -> InputError:
    return InputError(
        f"{package} is not installed: pip install 'hydra_tf[onnx]'"
    )


def _check_operators(content: bytes) -> None:
    """Raises `InputError` if a file has operators that ONNX lacks."""
    import onnx

    for node in onnx.load_from_string(content).graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            raise InputError(
                "`model` cannot be written as ONNX: there is no operator for "
                f"{node.op_type}, of {node.name}"
            )
