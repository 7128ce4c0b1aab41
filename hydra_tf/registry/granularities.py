"""What a mask removes: single weights, N of M weights, or whole units."""

from __future__ import annotations

import re
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import OpenChoice

WEIGHT = "weight"
CHANNEL = "channel"
FILTER = "filter"

HEAD = "head"
NEURON = "neuron"

STRUCTURED = (CHANNEL, FILTER, HEAD, NEURON)
# Whose scores are those of the layers that read the units; of filters, of
# those that make them.
READ = (CHANNEL, HEAD, NEURON)
# What only some networks have, and no layer on its own.
PARTS = (HEAD, NEURON)

_UNITS = {HEAD: "heads", NEURON: "neurons"}

_N_OF_M = re.compile(r"(\d{1,4}):(\d{1,4})")


def is_n_of_m(value: Any) -> bool:
    """Whether a value has the form `"N:M"`."""
    return isinstance(value, str) and _N_OF_M.fullmatch(value) is not None


def n_of_m(value: str) -> tuple[int, int]:
    """Returns N and M of `"N:M"`."""
    match = _N_OF_M.fullmatch(value)
    if match is None:
        raise InputError(f"'{value}' is not of the form N:M, such as '2:4'")
    return int(match[1]), int(match[2])


def _is_pattern(value: Any) -> bool:
    """Whether a value is `"N:M"` that removes some weights and not all."""
    if not is_n_of_m(value):
        return False
    n, m = n_of_m(value)
    return 0 < n < m


def units_of(granularity: str) -> str:
    """Returns what a structured granularity removes, in the plural."""
    return _UNITS.get(granularity, "channels")


GRANULARITY = OpenChoice(
    name="granularity",
    default=WEIGHT,
    choices=(WEIGHT, *STRUCTURED),
    others=_is_pattern,
    or_else="N:M with 0 < N < M such as 2:4",
    help="What is removed: single weights (weight), input channels (channel), "
    "output filters (filter), heads of attention (head), hidden units between "
    "dense layers (neuron), or all but N of every M consecutive input channels "
    "at each place of a kernel, as in 2:4.",
)


def check_granularity(value: Any, name: str = "granularity") -> None:
    """Raises `InputError` unless a value names a granularity.

    Those are `"weight"`, `"channel"` (input channels), `"filter"` (output
    channels), `"head"`, `"neuron"` and `"N:M"` with 0 < N < M, for instance
    `"2:4"`.
    """
    if not GRANULARITY.accepts(value):
        raise InputError(
            f"`{name}` must be {GRANULARITY.range}. Received: "
            f"{name}={value!r}{GRANULARITY.hint(value)}"
        )


MULTIPLE_OF = Count(
    name="multiple_of",
    flag="round_channels",
    default=1,
    lower=1,
    help="What the number of channels of a shrunk network is rounded up to a "
    "multiple of, such as 8 for vector units.",
)
