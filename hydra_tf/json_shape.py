"""The shape that JSON must have: types of values, in lists and by key.

A shape is a type (`float` is any number, `object` anything), `None`, a tuple
of shapes of which one must fit, `[shape]` for a list of such, or a dictionary
of shapes by key. A key that ends in `?` may be missing; the key `str` stands
for all that are not named, which without it may be anything:

```python
[{"epoch": int, "seconds?": float, str: float}]
```
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


def mismatch(value: Any, shape: Any, where: str = "") -> str | None:
    """Returns in what a value is of another shape, `None` if it is not.

    Args:
        value: What `json.loads` returned.
        shape: As this module describes it.
        where: Where the value is, such as `phases.prune`; empty for the whole.

    Example:

    >>> mismatch({"losses": [0.5, "0.4"]}, {"losses": [float]})
    '`losses[1]` must be a number, not a string'
    """
    if isinstance(shape, tuple):
        found = [mismatch(value, each, where) for each in shape]
        return None if None in found else found[0]
    place = f"`{where}`" if where else "it"
    kind = (
        type(shape) if shape is None or not isinstance(shape, type) else shape
    )
    if not _is(value, kind):
        return f"{place} must be {_TYPES[kind]}, not {_TYPES[type(value)]}"
    if isinstance(shape, list):
        return _first(
            mismatch(each, shape[0], f"{where}[{index}]")
            for index, each in enumerate(value)
        )
    if not isinstance(shape, dict):
        return None
    named = {key.rstrip("?"): key for key in shape if key is not str}
    for name, key in named.items():
        if name == key and name not in value:
            return f"{place} lacks `{name}`"
    return _first(
        mismatch(
            each,
            shape.get(named.get(name, str), object),
            f"{where}.{name}" if where else name,
        )
        for name, each in value.items()
    )


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a type, in the sense of JSON."""
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if kind is float else kind)


def _first(found: Iterable[str | None]) -> str | None:
    return next((each for each in found if each is not None), None)
