"""How figures over seeds are written."""

from __future__ import annotations

import statistics
from collections.abc import Iterable


def percent(values: Iterable[float]) -> str:
    """Returns mean and standard deviation, such as `"81.9 +- 1.1"`.

    Args:
        values: Shares in [0, 1], one for each seed. One alone has no deviation:
            `"81.9"`.
    """
    values = [100 * each for each in values]
    mean = f"{statistics.mean(values):.1f}"
    if len(values) < 2:
        return mean
    return f"{mean} +- {statistics.stdev(values):.1f}"
