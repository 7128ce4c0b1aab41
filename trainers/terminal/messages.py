"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re

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
    }
    | {setting.name: setting.flag_name for setting in methods.SETTINGS}
    | {
        setting.name: name
        for name, users in OBJECTIVES.settings().items()
        for _, setting in users
    }
)


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

    return re.sub(r"`(\w+)(=[^`]*)?`", flag, message)
