"""The parsed flags as a file for `--flagfile`."""

from __future__ import annotations

from typing import Any

from absl import flags


def as_flagfile(
    header: str,
    flag_values: flags.FlagValues = flags.FLAGS,
    **changes: Any,
) -> str:
    """Returns the parsed flags as a file for `--flagfile`.

    Args:
        header: The command, for the file's first comment.
        flag_values: The flags.
        **changes: Values to write instead of those parsed, by flag name.
    """
    lines = [f"# {header}"]
    by_module = flag_values.flags_by_module_dict()
    for module_name in sorted(by_module):
        if not module_name.startswith("flags."):
            continue
        lines.append("")
        for flag in by_module[module_name]:
            value = changes.get(flag.name, flag.value)
            # To start again each time is not what a re-run should do.
            if value is None or flag.name == "overwrite":
                continue
            if isinstance(flag, flags.MultiFlag):
                lines += [f"--{flag.name}={each}" for each in value]
            elif isinstance(value, bool):
                lines.append(f"--{'' if value else 'no'}{flag.name}")
            elif isinstance(value, list | tuple):
                lines.append(f"--{flag.name}={','.join(map(str, value))}")
            else:
                lines.append(f"--{flag.name}={value}")
    return "\n".join(lines) + "\n"
