"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re

from absl import flags

from hydra_tf.registry.objectives import OBJECTIVES

# Arguments of the library that have flags of other names.
_FLAGS = {
    "attacks": "eval_attacks",
    "bounds": "eval_certify",
    "folder": "output_dir",
    "gamma_step": "compression_gamma",
    "resource": "compression_resource",
    "rounds": "pruning_rounds",
    "schedule": "pruning_schedule",
    "scores": "scores_init",
} | {
    setting.name: name
    for name, users in OBJECTIVES.settings().items()
    for _, setting in users
}


def in_flags(message: str, flag_values: flags.FlagValues = flags.FLAGS) -> str:
    """Returns a message with flags for the arguments it names.

    Args:
        message: One that has arguments in backticks, as the library's do.
        flag_values: The flags of the binary.
    """

    def flag(match: re.Match[str]) -> str:
        name = _FLAGS.get(match[1], match[1])
        return f"--{name}" if name in flag_values else match[0]

    return re.sub(r"`(\w+)`", flag, message)
