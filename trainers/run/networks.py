"""A network with masks or without: what it can, what it keeps."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf import bounds
from hydra_tf import layers
from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked

_MASKED = (
    layers.MaskedDense,
    layers.MaskedConv1D,
    layers.MaskedConv2D,
    layers.MaskedDepthwiseConv2D,
    layers.MaskedConv2DTranspose,
)


def is_masked(network: keras.Model) -> bool:
    """Whether any layer of a network has a mask."""
    return bool(find_masked(network))


def check_provable(network: keras.Model, where: str, needed_by: str) -> None:
    """Checks that there are bounds for every layer of a network.

    Args:
        network: The network.
        where: What to call it in a message, such as `--source=x.keras`.
        needed_by: The flag that asks for bounds.

    Raises:
        InputError: If a layer has none.
    """
    try:
        bounds.check_supported(network)
    except InputError as error:
        raise InputError(
            f"{where} does not fit {needed_by}: {error}"
        ) from error


def sparsity(network: keras.Model) -> dict[str, Any]:
    """Returns the sparsity of a network, also of one that has no masks."""
    if not is_masked(network):
        network = _masked_where_possible(network)
    granularity = find_masked(network)[0].granularity
    report = pruning.sparsity_report(network)
    return {"granularity": granularity, **report.to_dict()}


def _masked_where_possible(network: keras.Model) -> keras.Model:
    """Returns the masked copy of a network, other layers left as they are."""
    maskable = {masked_class.plain_class for masked_class in _MASKED}
    return pruning.to_masked(
        network, exclude=lambda layer: type(layer) not in maskable
    )
