"""Flags of the training objective, from the registry of objectives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags.from_settings import define
from flags.from_settings import define_family
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.objectives import SIGMA
from hydra_tf.registry.objectives import THREAT_MODEL
from hydra_tf.registry.objectives import ObjectiveEntry
from hydra_tf.registry.settings import OpenChoice
from hydra_tf.registry.table import is_own

if TYPE_CHECKING:
    from hydra_tf.objectives import Objective

_OBJECTIVE = define(
    OpenChoice(
        name="objective",
        default="trades",
        choices=OBJECTIVES.names,
        others=is_own,
        or_else="package.module:Class",
        help="What training minimises: "
        + "; ".join(f"{entry.help} ({entry.name})" for entry in OBJECTIVES)
        + "; or an objective of one's own. The evaluation's --eval_certify "
        "follows it.",
    )
)
_PRETRAIN_OBJECTIVE = define(
    OpenChoice(
        name="pretrain_objective",
        default=None,
        choices=OBJECTIVES.names,
        others=is_own,
        or_else="package.module:Class",
        help="What pretraining minimises, if not --objective; its settings are "
        "those of the same flags. A few epochs of natural before robust ones "
        "cost little and end a fresh network's time at chance.",
    )
)
_SETTINGS = define_family(OBJECTIVES)
_OWN_SETTINGS = flags.DEFINE_string(
    "objective_settings",
    None,
    "Further arguments of --objective, name=value separated by commas; for "
    "one's own, those that have no flag.",
)
NAMES = tuple(_SETTINGS)
# What the evaluation takes from training unless it has flags of its own.
_OF_EVALUATION = (EPSILON, THREAT_MODEL, SIGMA)


def objective_from_flags() -> Objective:
    """Returns the objective that the parsed flags stand for.

    An argument of its constructor is that of `--objective_settings`, or of the
    flag of its name where that is given.

    Raises:
        flags.ValidationError: If the radius is none of images in [0, 1], or
            the objective knows the other threat model only.
        InputError: If there is no such objective, or it has no such setting.
    """
    objective = _create(_OBJECTIVE, _own_settings)
    measured = attack_from_flags(objective)
    check_radius("epsilon", measured["epsilon"], measured["threat_model"])
    return objective


def pretrain_objective_from_flags() -> Objective | None:
    """Returns the objective of pretraining, `None` for that of the run.

    Raises:
        flags.ValidationError: As `objective_from_flags`.
        InputError: As `objective_from_flags`.
    """
    if _PRETRAIN_OBJECTIVE.value in (None, _OBJECTIVE.value):
        return None
    return _create(_PRETRAIN_OBJECTIVE)


def _create(
    flag: flags.FlagHolder,
    further: Callable[[ObjectiveEntry], dict[str, Any]] = lambda entry: {},
) -> Objective:
    """Returns the objective that a flag names, with the settings of others.

    Args:
        flag: The flag.
        further: Returns the arguments that have no flag.
    """
    from hydra_tf import objectives

    try:
        entry = OBJECTIVES.entry(flag.value)
    except InputError as error:
        raise InputError(f"--{flag.name}: {error}") from error
    threat_model = _SETTINGS["threat_model"].value or THREAT_MODEL.default
    if entry.needs_bounds and threat_model != "linf":
        raise flags.ValidationError(
            f"flag --{flag.name}={entry.name}: needs --threat_model=linf, not "
            f"{threat_model}; its bounds are of boxes"
        )
    arguments = {
        setting.name: _SETTINGS[setting.flag_name].value
        for setting in entry.settings
        if setting.flag_name in _SETTINGS
        and _SETTINGS[setting.flag_name].value is not None
    }
    for name in {"epsilon", "step_size"} & arguments.keys():
        check_radius(name, arguments[name], threat_model)
    own = further(entry)
    for name in own.keys() & arguments.keys():
        raise InputError(
            f"--objective_settings={_OWN_SETTINGS.value}: {name!r} is given by "
            f"--{entry.setting(name).flag_name}, too; give it once"
        )
    return objectives.create(entry.name, **arguments, **own)


def attack_from_flags(objective: Objective) -> dict[str, Any]:
    """Returns radius, threat model and noise that a network is measured with.

    They are those of the flags; failing that, those of the objective.

    Args:
        objective: What training minimises.
    """
    attack = {}
    for setting in _OF_EVALUATION:
        value = _SETTINGS[setting.name].value
        if value is None:
            value = getattr(objective, setting.name, None)
        attack[setting.name] = (
            value if setting.accepts(value) else setting.default
        )
    return attack


def check_radius(name: str, epsilon: float, threat_model: str) -> None:
    """Checks that a radius is one of images in [0, 1].

    Args:
        name: Name of the flag.
        epsilon: Its value.
        threat_model: `"linf"` or `"l2"`.

    Raises:
        flags.ValidationError: If any image lies within the radius.
    """
    setting = EPSILON.within(threat_model)
    if not setting.accepts(epsilon):
        raise flags.ValidationError(
            f"flag --{name}={epsilon:g}: must be {setting.range}"
            f"{setting.hint(epsilon)}"
        )


def _own_settings(entry: ObjectiveEntry) -> dict[str, Any]:
    """Returns the arguments that `--objective_settings` gives."""
    given = _OWN_SETTINGS.value
    settings = {}
    # A value, such as a pair, may have commas of its own.
    for part in re.split(r",(?=\s*\w+\s*=)", given or ""):
        name, equals, text = map(str.strip, part.partition("="))
        if not part.strip():
            continue
        try:
            if not equals:
                raise InputError(f"{part!r} must be of the form name=value")
            setting = entry.setting(name)
            if name in settings:
                raise InputError(f"{name!r} is given twice")
            settings[name] = setting.check(setting.parse(text))
        except InputError as error:
            flag = f"--objective_settings={given}"
            raise InputError(f"{flag}: {error}") from error
    return settings
