"""Flags of `trainers.evaluate` alone."""

from __future__ import annotations

from absl import flags

_SANITY = flags.DEFINE_bool(
    "sanity",
    False,
    "Whether to check that robust accuracy can be believed, after Carlini "
    "et al. (2019): more steps are not weaker, an unbounded radius leaves "
    "nothing, gradients do not vanish and so on. On the first 200 images.",
)


def sanity_from_flags() -> bool:
    """Returns whether the checks are made."""
    return _SANITY.value
