"""What reading a masked weight gives: when it is effective, and shared."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hydra_tf.keras_internals import in_layer_call

# Replicas of a strategy are traced in threads of their own.
_scopes = threading.local()


def is_computing() -> bool:
    """Whether masked weights are read to compute with them."""
    # Recurrent layers read those of their cell.
    return getattr(_scopes, "depth", 0) > 0 or in_layer_call()


def computing(call: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a layer's `call`, in which its masked weights are effective."""

    @functools.wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _scopes.depth = getattr(_scopes, "depth", 0) + 1
        try:
            return call(*args, **kwargs)
        finally:
            _scopes.depth -= 1

    return wrapper


def shared_kernel(layer: Any) -> tf.Tensor | None:
    """Returns the kernel to use in place of the layer's own, if any."""
    kernel = _kernels().get(id(layer))
    return kernel if kernel is not None and _is_visible(kernel) else None


@contextlib.contextmanager
def sharing(kernels: Mapping[int, tf.Tensor]) -> Iterator[None]:
    """Shares kernels, by the `id` of their layers, inside the context."""
    previous = _kernels()
    _scopes.kernels = {**previous, **kernels}
    try:
        yield
    finally:
        _scopes.kernels = previous


def _kernels() -> Mapping[int, tf.Tensor]:
    return getattr(_scopes, "kernels", {})


def _is_visible(tensor: tf.Tensor) -> bool:
    """Whether what executes or is traced now belongs to the tensor's scope.

    Bodies of loops and branches do. A `tf.function` of its own does not: its
    trace outlives the context, and would keep using this kernel.
    """
    if not tf.is_symbolic_tensor(tensor):
        return tf.executing_eagerly()
    graph = tf.compat.v1.get_default_graph()
    while graph is not tensor.graph:
        if not getattr(graph, "is_control_flow_graph", False):
            return False
        graph = graph.outer_graph
    return True
