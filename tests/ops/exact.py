"""Counts in exact arithmetic."""

import fractions
import math


def exact_ceil(density, size):
    """The kept count of a decimal in exact arithmetic."""
    return max(math.ceil(fractions.Fraction(str(density)) * size), 1)
