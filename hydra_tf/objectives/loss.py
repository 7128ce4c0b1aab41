"""What an objective returns: its loss, and what it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class Loss:
    """A loss with its terms, the figures beside it, and the logits behind it.

    Attributes:
        value: Float32 scalar, the mean over the batch.
        terms: Its weighted terms by name, float32 scalars.
        figures: Further numbers by name. A scalar is logged as it is, an
            epoch's last one for the epoch. A pair of scalars is a mean over
            images and its weight, the share of the batch that it speaks for;
            the mean over the epoch is logged.
        natural_logits: Logits `(batch, classes)` of the natural images, if the
            loss computed them: accuracy then needs no second forward pass.
        robust_logits: The same of the perturbed images.
    """

    value: tf.Tensor
    terms: Mapping[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    natural_logits: tf.Tensor | None = None
    robust_logits: tf.Tensor | None = None

    @classmethod
    def of_terms(cls, terms: Mapping[str, tf.Tensor], **others: Any) -> Loss:
        """Returns the loss that is the sum of its terms.

        Args:
            terms: Float32 scalars by name.
            **others: The other attributes.
        """
        return cls(tf.add_n(list(terms.values())), terms, **others)
