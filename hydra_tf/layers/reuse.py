"""One computation of masks and effective kernels for many calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from hydra_tf.layers import kernel_scope
from hydra_tf.layers.traversal import find_masked


@contextlib.contextmanager
def reuse_effective_kernels(
    *layers: keras.layers.Layer,
) -> Iterator[None]:
    """Computes every mask and effective kernel once for all calls inside.

    The scores change once per optimiser step, but an attack calls the network
    a dozen times in it. Inside this context (in the same thread) the masked
    layers of the given layers or models use the kernels computed on entry; a
    gradient tape that was recording on entry still reaches scores and kernels
    through them. Bodies of `tf.while_loop` reuse them too; a `tf.function` that
    is called inside computes its own. Leave the context before assigning new
    weights.

    Args:
        *layers: Layers or models; those inside them count.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> images = keras.ops.ones((1, 4))
    >>> with reuse_effective_kernels(model):
    ...     outputs = [model(images) for _ in range(3)]
    """
    # Those of an outer context are not computed again.
    kernels = {
        id(view): view.kernel_for_call() for view in find_masked(*layers)
    }
    with kernel_scope.sharing(kernels):
        yield
