"""Which layers can keep N of every M of their input channels."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import walk
from hydra_tf.pruning.exclude import leave_out
from hydra_tf.registry.granularities import n_of_m


def layers_without_blocks(
    model: keras.Model,
    granularity: str,
    is_prunable: Callable[[Any], bool],
    excluded: Sequence[str] = (),
) -> set[int]:
    """Returns the `id` of the layers that N:M pruning leaves as they are.

    Those are depthwise layers, whose outputs read a single channel, and layers
    that read the image if M does not divide its channels, three for instance.

    Args:
        model: Built Functional or Sequential model.
        granularity: `"N:M"`.
        is_prunable: Predicate of the layers that would be masked.
        excluded: Names of layers that are left out already, for the error.

    Raises:
        InputError: If M does not divide the input channels of other layers.
    """
    _, m = n_of_m(granularity)
    walked = walk(model)
    images = {value.number for value in walked.inputs}
    left: set[int] = set()
    odd: dict[str, Any] = {}
    for call in walked.calls:
        layer = call.operation
        reads_image = any(value.number in images for value in call.inputs)
        if not is_prunable(layer):
            if reads_image and getattr(layer, "kernel", None) is None:
                # Scaling, augmentation: what comes out is still the image.
                images.update(value.number for value in call.outputs)
            continue
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        size = layer.kernel.shape[-1 if transposed else -2]
        if isinstance(layer, keras.layers.DepthwiseConv2D) or (
            reads_image and size % m
        ):
            left.add(id(layer))
        elif size % m:
            odd[f"layer '{call.name}' has {size}"] = layer
    if odd:
        raise InputError(
            f"`granularity='{granularity}'` needs input channels in blocks of "
            f"{m}: {', '.join(odd)}; leave {'them' if len(odd) > 1 else 'it'} "
            f"out with {leave_out(list(odd.values()), excluded=excluded)}"
        )
    return left
