"""What a network's compiled functions were made for, and whether it changed."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked


class MadeFor:
    """The phases of the masked layers that each function was traced with.

    Args:
        network: The network that the functions compute.
    """

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        self._functions: dict[str, Any] = {}

    def compiled(self) -> None:
        """Forgets all functions, and takes note of what trains now."""
        self._functions.clear()
        if self._network.built:
            self._functions["train"] = self._trained()

    def check_trained(self) -> None:
        """Raises `InputError` if other variables train than when compiled."""
        trained = self._trained()
        if self._functions.setdefault("train", trained) != trained:
            raise InputError(
                "what trains has changed since compile(), by set_phase, "
                "`trainable` or the begin or finish of a course: call "
                "compile() again"
            )

    def outdated(self, function: str) -> bool:
        """Returns whether a function was traced when other masks applied.

        Args:
            function: Its name; from now on it is made for the phases of now.
        """
        phases = self._phases()
        outdated = self._functions.get(function, phases) != phases
        self._functions[function] = phases
        return outdated

    def _trained(self) -> tuple[Any, ...]:
        variables = self._network.trainable_variables
        return (
            self._phases(),
            tuple(id(variable) for variable in variables),
            # Set by a course.
            tuple(
                (
                    layer.masked_kernel.dense_gradients,
                    layer.masked_kernel.trains_pruned,
                )
                for layer in find_masked(self._network)
            ),
        )

    def _phases(self) -> tuple[Any, ...]:
        return tuple(layer.phase for layer in find_masked(self._network))
