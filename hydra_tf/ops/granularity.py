"""What a mask removes: single weights, N of M weights, or whole channels."""

from __future__ import annotations

import re
from typing import Any

from hydra_tf.errors import InputError

WEIGHT = "weight"
CHANNEL = "channel"
FILTER = "filter"

STRUCTURED = (CHANNEL, FILTER)

_N_OF_M = re.compile(r"(\d{1,4}):(\d{1,4})")


def check_granularity(value: Any, name: str = "granularity") -> None:
    """Raises `InputError` unless a value names a granularity.

    Those are `"weight"`, `"channel"` (input channels), `"filter"` (output
    channels) and `"N:M"` with 0 < N < M, for instance `"2:4"`.
    """
    if value in (WEIGHT, CHANNEL, FILTER):
        return
    if is_n_of_m(value):
        n, m = n_of_m(value)
        if 0 < n < m:
            return
    raise InputError(
        f"`{name}` must be 'weight', 'channel', 'filter', or 'N:M' with N "
        f"less than M and at least 1, such as '2:4'. Received: {name}={value!r}"
    )


def is_n_of_m(value: Any) -> bool:
    """Whether a value has the form `"N:M"`."""
    return isinstance(value, str) and _N_OF_M.fullmatch(value) is not None


def n_of_m(value: str) -> tuple[int, int]:
    """Returns N and M of `"N:M"`."""
    match = _N_OF_M.fullmatch(value)
    if match is None:
        raise InputError(f"'{value}' is not of the form N:M, such as '2:4'")
    return int(match[1]), int(match[2])
