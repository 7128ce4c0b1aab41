"""Which weights can keep N of every M of their input channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import is_graph
from hydra_tf.graph import walk
from hydra_tf.pruning.choice import Choice
from hydra_tf.pruning.exclude import leave_out
from hydra_tf.registry.granularities import n_of_m


def keep_blocks(
    model: keras.Model,
    granularity: str,
    choice: Choice,
    excluded: Sequence[str] = (),
) -> None:
    """Takes out of a choice what N:M pruning leaves as it is.

    Those are depthwise kernels, whose outputs read a single channel,
    embeddings, and layers that read the image if M does not divide its
    channels, three for instance.

    Args:
        model: Built model.
        granularity: `"N:M"`.
        choice: What would be masked.
        excluded: Names of layers that are left out already, for the error.

    Raises:
        InputError: If M does not divide the input channels of other layers.
    """
    _, m = n_of_m(granularity)
    first = _layers_of_the_image(model, choice)
    odd: dict[str, Any] = {}
    kept = []
    for layer, axes in choice.masked:
        # Rows are looked up: no product has blocks of them.
        if isinstance(layer, keras.layers.Embedding):
            continue
        fitting = {}
        for name, each in axes.items():
            size = each.num_inputs_in_blocks
            if each.depthwise or (id(layer) in first and size % m):
                continue
            if size % m:
                odd[f"layer '{layer.name}' has {size}"] = layer
            fitting[name] = each
        if fitting:
            kept.append((layer, fitting))
    if odd:
        raise InputError(
            f"`granularity='{granularity}'` needs input channels in blocks of "
            f"{m}: {', '.join(odd)}; leave {'them' if len(odd) > 1 else 'it'} "
            f"out with {leave_out(list(odd.values()), excluded=excluded)}"
        )
    choice.masked = kept


def _layers_of_the_image(model: keras.Model, choice: Choice) -> set[int]:
    """Returns the `id` of the layers to mask that read the model's inputs."""
    if not is_graph(model):
        return set()
    masked = {id(layer) for layer, _ in choice.masked}
    walked = walk(model)
    images = {value.number for value in walked.inputs}
    found = set()
    for call in walked.calls:
        layer = call.operation
        if not any(value.number in images for value in call.inputs):
            continue
        if id(layer) in masked:
            found.add(id(layer))
        elif getattr(layer, "kernel", None) is None:
            # Scaling, augmentation: what comes out is still the image.
            images.update(value.number for value in call.outputs)
    return found
