"""LiteRT and ONNX files."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from typing import Any

import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.export import litert
from trainers.inspection.description import Description
from trainers.inspection.description import kernels_table
from trainers.inspection.description import sizes


def describe_litert(path: pathlib.Path) -> Description:
    """Returns what is known of a `.tflite` file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        interpreter = litert.interpreter_of(path)
    except InputError as error:
        raise InputError(f"--source={error}") from error
    constants = _constants(path, interpreter)
    sparse = [name for name, each in constants.items() if each.sparse]
    return Description(
        {
            "what": "LiteRT (TensorFlow Lite) file",
            "path": str(path),
            "size": sizes(path),
            "inputs": _tensors(interpreter.get_input_details()),
            "outputs": _tensors(interpreter.get_output_details()),
            "sparse": f"{len(sparse)} of {len(constants)} weights are stored "
            "without their zeros",
            "signatures": ", ".join(interpreter.get_signature_list()),
        },
        [
            kernels_table(
                (_short(name), each.array) for name, each in constants.items()
            )
        ],
    )


def describe_onnx(path: pathlib.Path) -> Description:
    """Returns what is known of an `.onnx` file.

    Raises:
        InputError: If it cannot be read, or `onnx` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            f"--source={path}: onnx is not installed: "
            "pip install 'hydra_tf[onnx]'"
        ) from error
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:
        raise InputError(
            f"--source={path} is no ONNX file: {str(error)[:200]}"
        ) from error
    graph = model.graph
    return Description(
        {
            "what": "ONNX file",
            "path": str(path),
            "size": sizes(path),
            "inputs": ", ".join(map(_value, graph.input)),
            "outputs": ", ".join(map(_value, graph.output)),
            "versions": f"opset {model.opset_import[0].version}, "
            f"{model.producer_name} {model.producer_version}",
        },
        [
            kernels_table(
                (_short(each.name), onnx.numpy_helper.to_array(each))
                for each in graph.initializer
            )
        ],
    )


@dataclasses.dataclass(frozen=True)
class _Constant:
    """A constant of a LiteRT file, and whether it is stored without zeros."""

    array: np.ndarray
    sparse: bool


def _constants(path: pathlib.Path, interpreter: Any) -> dict[str, _Constant]:
    """Returns the kernels that a file holds, by name."""
    tensors = [
        each
        for each in interpreter.get_tensor_details()
        if len(each["shape"]) >= 2 and each["dtype"] != np.int32
    ]
    running = None
    if any(each["sparsity_parameters"] for each in tensors):
        running = litert.interpreter_of(path, keep_tensors=True)
        running.allocate_tensors()
        for each in running.get_input_details():
            running.set_tensor(
                each["index"], np.zeros(each["shape"], each["dtype"])
            )
        # Unpacks the sparse ones, each into the tensor that follows it.
        running.invoke()
    found = {}
    for details in tensors:
        name, index = details["name"], details["index"]
        if running is not None and details["sparsity_parameters"]:
            found[name] = _Constant(running.get_tensor(index + 1), True)
            continue
        # What is no constant has no value yet.
        with contextlib.suppress(ValueError):
            found[name] = _Constant(interpreter.get_tensor(index), False)
    return found


def _tensors(details: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{each['name']} {np.dtype(each['dtype']).name} "
        f"{tuple(int(n) for n in each['shape_signature'])}"
        for each in details
    )


def _value(value: Any) -> str:
    sizes = [
        each.dim_value if each.HasField("dim_value") else None
        for each in value.type.tensor_type.shape.dim
    ]
    return f"{value.name} {tuple(sizes)}"


def _short(name: str) -> str:
    """Returns the end of a long name, where the layer's is."""
    name = name.split(";")[0]
    return name if len(name) <= 40 else f"...{name[-37:]}"
