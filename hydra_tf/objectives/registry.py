"""Objectives by the names that flags and flagfiles use."""

from __future__ import annotations

from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.objectives.adversarial import FGSM
from hydra_tf.objectives.adversarial import Madry
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import setting_names
from hydra_tf.objectives.crown_ibp import CROWNIBP
from hydra_tf.objectives.crown_ibp import IBP
from hydra_tf.objectives.mart import MART
from hydra_tf.objectives.mixtrain import MixTrain
from hydra_tf.objectives.natural import Natural
from hydra_tf.objectives.smoothing import RandomizedSmoothing
from hydra_tf.objectives.trades import TRADES

_OBJECTIVES: dict[str, type[Objective]] = {
    "crown_ibp": CROWNIBP,
    "fgsm": FGSM,
    "ibp": IBP,
    "madry": Madry,
    "mart": MART,
    "mixtrain": MixTrain,
    "natural": Natural,
    "smoothing": RandomizedSmoothing,
    "trades": TRADES,
}


def names() -> list[str]:
    """Returns the names that `create` knows."""
    return sorted(_OBJECTIVES)


def create(name: str, **settings: Any) -> Objective:
    """Returns the objective called `name`.

    Args:
        name: One of `names()`.
        **settings: Arguments of its constructor.

    Raises:
        InputError: If there is no such objective, it has no such setting, or a
            setting is out of its range.

    Example:
    >>> create("trades", beta=3.0).beta
    3.0
    """
    objective_class = _OBJECTIVES.get(name)
    if objective_class is None:
        raise InputError(
            f"Unknown objective {name!r}. {close_matches(name, _OBJECTIVES)}"
        )
    known = setting_names(objective_class)
    for setting in settings:
        if setting not in known:
            hint = close_matches(setting, known) if known else "It has none."
            raise InputError(
                f"The objective {name!r} has no setting {setting!r}. {hint}"
            )
    return objective_class(**settings)
