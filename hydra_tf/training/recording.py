"""What passes by while an objective computes its loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class RecordingView:
    """A network as an objective's loss sees it, which notes what passes by.

    The logits of the natural and of the perturbed images serve the accuracies,
    terms and figures the logs; the former then need no second forward pass.

    Args:
        network: Keras model from images to logits.
        x: The natural images.
        perturbed: What the objective made of them.

    Attributes:
        network: The network itself, for what needs its layers.
        network_losses: Regularisers' and layers' own losses, of the last pass.
        terms: What the objective recorded of its loss.
        figures: What it recorded beside its loss.
    """

    def __init__(
        self, network: keras.Model, x: tf.Tensor, perturbed: tf.Tensor
    ) -> None:
        self.network = network
        self._x = x
        self._perturbed = perturbed
        self._logits: dict[int, tf.Tensor] = {}
        self.network_losses: list[tf.Tensor] = []
        self.terms: dict[str, tf.Tensor] = {}
        self.figures: dict[str, Any] = {}

    def __call__(self, images: Any, training: bool | None = None) -> Any:
        logits = self.network(images, training=training)
        self.network_losses = list(self.network.losses)
        if images is self._x or images is self._perturbed:
            self._logits[id(images)] = logits
        return logits

    def __getattr__(self, name: str) -> Any:
        # An objective may read the network's weights or layers.
        if name.startswith("_") or name == "network":
            raise AttributeError(name)
        return getattr(self.network, name)

    def record_terms(self, terms: dict[str, tf.Tensor]) -> None:
        """Notes the weighted terms of the loss."""
        self.terms = dict(terms)

    def record_figures(self, figures: dict[str, Any]) -> None:
        """Notes what `hydra_tf.objectives.base.record_figures` describes."""
        self.figures.update(figures)

    def all_logits(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Natural and robust logits, computed now where the loss did not."""
        for images in (self._x, self._perturbed):
            if id(images) not in self._logits:
                self._logits[id(images)] = self.network(images, training=False)
        return self._logits[id(self._x)], self._logits[id(self._perturbed)]
