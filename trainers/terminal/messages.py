"""Messages of the library in the words of the command line."""

from __future__ import annotations

import os
import re
from typing import Any

from absl import flags

from hydra_tf.registry import methods
from hydra_tf.registry.objectives import OBJECTIVES

# Arguments of the library that have flags of other names.
_FLAGS = (
    {
        "attacks": "eval_attacks",
        "bounds": "eval_certify",
        "folder": "output_dir",
        "name": "dataset",
        # Its radius is all of it that flags decide.
        "validation_attack": "eval_epsilon",
    }
    | {setting.name: setting.flag_name for setting in methods.SETTINGS}
    | {
        setting.name: name
        for name, users in OBJECTIVES.settings().items()
        for _, setting in users
    }
)


# A path whose host gives no answer. It may be one that nobody typed.
_UNREACHED = re.compile(r"([\w+.-]+://[^\s/]+)\S*(?= cannot be reached: )")


def in_flags(message: str, flag_values: flags.FlagValues = flags.FLAGS) -> str:
    """Returns a message with flags for the arguments it names.

    Args:
        message: One that has arguments in backticks, perhaps with values
            (`method='harp'`), as the library's do.
        flag_values: The flags of the binary.
    """

    def flag(match: re.Match[str]) -> str:
        name = _FLAGS.get(match[1], match[1])
        if name not in flag_values:
            return match[0]
        # As the command line has them: no quotes, lists by commas.
        return f"--{name}" + re.sub(r"['\[\] ]", "", match[2] or "")

    def flag_of_host(match: re.Match[str]) -> str:
        found = [
            (name, value)
            for name in flag_values
            for value in _texts(flag_values[name].value)
            if re.search(rf"{re.escape(match[1])}(/|$)", value)
        ]
        if not found:
            return match[0]
        name, value = max(
            found,
            key=lambda each: len(os.path.commonprefix([each[1], match[0]])),
        )
        return f"--{name}={value}"

    message = re.sub(r"`(\w+)(=[^`]*)?`", flag, message)
    return _UNREACHED.sub(flag_of_host, message, count=1)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str)]
