"""Timing things side by side, so that a noisy machine hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from collections.abc import Mapping


def median_seconds(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Returns each function's median duration in seconds.

    Args:
        functions: What to time, by name. Each call has to wait for its result.
        repeats: Timed rounds. A round calls every function once, in turn.
        warmup: Rounds before, not timed.
        clock: Returns seconds; `time.process_time` those of all cores, which an
            otherwise busy machine hardly changes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for round_number in range(warmup + repeats):
        for name, function in functions.items():
            start = clock()
            function()
            if round_number >= warmup:
                seconds[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
