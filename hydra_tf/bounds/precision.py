"""Full precision of float32 products, which bounds count on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

_config = tf.config.experimental
_lock = threading.Lock()
_before: list[bool] = []  # What each open context found, the first one first.


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Switches TensorFloat-32 off while it is open.

    GPUs that have TensorFloat-32 round the factors of float32 products to 10
    bits: bounds would be wrong by about 1e-3. What `hydra_tf.bounds` computes
    eagerly is at full precision without more ado. TensorFlow reads the switch
    when an operation runs, not when it is traced; so inside a `tf.function` of
    your own, open this context around every call of that function.

    The switch is one for the whole process; it goes back to what it was when
    the last open context of all threads closes.

    Example:
        ```python
        certified = tf.function(
            lambda x, y: ht.bounds.certified(model, x, y, 2 / 255)
        )
        with ht.bounds.full_precision():
            share = certified(images, labels).numpy().mean()
        ```
    """
    with _lock:
        _before.append(_config.tensor_float_32_execution_enabled())
        _config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        with _lock:
            found = _before.pop()
            if not _before:
                _config.enable_tensor_float_32_execution(found)
