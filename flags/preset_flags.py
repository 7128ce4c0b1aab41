"""Recipes by name."""

from __future__ import annotations

import collections
import difflib
import itertools
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence

from absl import flags

PRESETS = pathlib.Path(__file__).parent / "presets"

# absl declares --flagfile in the same way: for the help and for suggestions.
# `expand` has replaced both flags before the others are parsed.
flags.DEFINE_string(
    "preset",
    None,
    "Recipe to take flags from, such as digits_demo; flags given after it win. "
    "A recipe may name others so.",
)
flags.DEFINE_bool(
    "list_presets", None, "Lists the recipes with their densities and sources."
)
flags.register_validator(
    "preset",
    lambda name: name is None,
    "recipes are of training; this program takes none",
)
flags.register_validator(
    "list_presets", lambda listed: not listed, "takes no value"
)


def names() -> list[str]:
    """Returns the names of all recipes, `family/recipe`."""
    return sorted(
        path.relative_to(PRESETS).with_suffix("").as_posix()
        for path in PRESETS.rglob("*.flags")
        if not path.name.startswith("common_")
    )


def expand(arguments: Sequence[str]) -> list[str]:
    """Returns arguments with recipes and flagfiles replaced by their flags.

    Args:
        arguments: A command line without the program. Recipes, and flagfiles
            that the working directory lacks, are found by name.

    Raises:
        flags.Error: If there is no such recipe or file.
    """
    return list(_expanded(arguments, ()))


def _expanded(
    arguments: Sequence[str], within: tuple[str, ...]
) -> Iterator[str]:
    """Yields arguments, in place of files what they hold.

    Args:
        arguments: Words of a command line, or lines of a file.
        within: The files that lead there, each included by the one before.
    """
    rest = collections.deque(arguments)
    while rest:
        argument = rest.popleft()
        flag, equals, value = argument.partition("=")
        if argument == "--":
            yield argument
            yield from rest
            return
        elif flag in ("--preset", "-preset", "--flagfile", "-flagfile"):
            if not equals:
                value = rest.popleft() if rest else ""
            found = _find(flag.lstrip("-"), value)
            if not found:
                # absl ignores --flagfile without a value.
                continue
            path = _path_of(found)
            if path in within:
                raise flags.Error(
                    f"flag {flag}={value}: the file includes itself, by "
                    f"{' and '.join(map(os.path.basename, within))}; "
                    "take that line out of it"
                )
            lines = _expanded(_lines(path, argument), (*within, path))
            if any(map(_is_source, rest)):
                # Several add up, but not with those of a file before them.
                lines = itertools.filterfalse(_is_source, lines)
            yield from lines
        else:
            yield argument


def _is_source(argument: str) -> bool:
    return argument.partition("=")[0] in ("--source", "-source")


def _lines(path: str, argument: str) -> list[str]:
    """Returns the lines of a flagfile, without those for readers."""
    try:
        lines = [line.strip() for line in _read(path).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise flags.Error(
            f"flag {argument}: cannot be read: {reason}; give a file with a "
            "flag on each line"
        ) from error
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _is_remote(path: str) -> bool:
    """Whether TensorFlow is needed to read a file."""
    return "://" in path


def _path_of(found: pathlib.Path | str) -> str:
    """Returns a path by which a file is known again."""
    return str(found) if _is_remote(str(found)) else os.path.realpath(found)


def _read(path: str) -> str:
    if _is_remote(path):
        from hydra_tf import files

        return files.located(path).read_text(encoding="utf-8")
    return pathlib.Path(path).read_text(encoding="utf-8")


def _find(flag: str, name: str) -> pathlib.Path | str:
    given = os.path.expanduser(name)
    if flag == "flagfile" and (not name or _is_remote(name)):
        return name
    if flag == "flagfile" and os.path.exists(given):
        return given
    # As from a checkout, where the folder is part of a flagfile's name.
    bare = name.removeprefix("flags/presets/").removesuffix(".flags")
    path = PRESETS / f"{bare}.flags"
    if path.is_file():
        return path
    matches = difflib.get_close_matches(bare, names(), cutoff=0.5)
    hint = f"did you mean --preset={' or '.join(matches)}? " if matches else ""
    missing = "file" if flag == "flagfile" else "recipe"
    raise flags.Error(
        f"flag --{flag}={name}: there is no such {missing}; {hint}"
        "--list_presets names the recipes"
    )


def listing() -> str:
    """Returns all recipes by family and source, a line for each."""
    recipes = [(name, *_header(PRESETS / f"{name}.flags")) for name in names()]
    width = max(len(name) for name in names())
    lines = []
    for (family, source), group in itertools.groupby(
        sorted(recipes, key=_family_and_source), key=_family_and_source
    ):
        lines += ["", f"{family or 'demonstrations'}: {source}"]
        lines += [
            f"  {name:{width}}  {densities:16}  {title}"
            for name, title, _, densities in group
        ]
    lines += [
        "",
        "A recipe's first density is its default. Flags after a recipe win:",
        "  --preset=hydra/cifar10_vgg16_bn_trades --density=0.01 "
        "--output_dir=runs/first",
    ]
    return "\n".join(lines[1:]) + "\n"


def _family_and_source(recipe: tuple[str, str, str, str]) -> tuple[str, str]:
    return recipe[0].rpartition("/")[0], recipe[2]


def _header(path: pathlib.Path) -> tuple[str, str, str]:
    """Returns title, source and densities, a recipe's first three lines."""
    with path.open(encoding="utf-8") as file:
        title, source, densities = (file.readline().strip() for _ in range(3))
    return (
        title.removeprefix("# ").removesuffix("."),
        source.removeprefix("# source: "),
        densities.removeprefix("# densities: "),
    )
