"""Flags of `trainers.evaluate` alone."""

from __future__ import annotations

from absl import flags

_SANITY = flags.DEFINE_bool(
    "sanity",
    False,
    "Whether to check that the robust accuracy can be believed, as Evaluating "
    "Adversarial Robustness (Carlini et al., 2019) has it: more steps are never "
    "weaker, an unbounded radius leaves nothing, gradients do not vanish and so "
    "on. It takes a few hundred of the images.",
)


def sanity_from_flags() -> bool:
    """Returns whether the checks are made."""
    return _SANITY.value
