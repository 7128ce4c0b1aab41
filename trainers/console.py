"""What a person sees while a run is under way."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Writes lines to stdout at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
