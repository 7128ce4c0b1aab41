"""Builds the guides and the API reference as HTML, without network.

    python tools/build_docs.py docs/_build

A page for every public package of the library, from the docstrings of what its
`__all__` names, one for every guide, and one of all names and settings, from
the registries.
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import sys
import types
import warnings

import pdoc

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = "hydra_tf"
GUIDES = ("README.md", "docs/*.md", "CONTRIBUTING.md", "CHANGELOG.md")


def public_modules(name: str = LIBRARY) -> list[str]:
    """Returns a package and the modules that it names in `__all__`, and so on.

    Args:
        name: Full name of the package.
    """
    module = sys.modules[name]
    names = [name]
    for member in getattr(module, "__all__", ()):
        inner = getattr(module, member)
        if inspect.ismodule(inner) and inner.__name__ not in names:
            names += [
                found
                for found in public_modules(inner.__name__)
                if found not in names
            ]
    return names


def guides() -> dict[str, pathlib.Path]:
    """Returns the Markdown files by the names of their pages."""
    paths = [path for pattern in GUIDES for path in sorted(ROOT.glob(pattern))]
    return {path.stem.lower(): path for path in paths}


def settings_page() -> str:
    """Returns the tables of the registries as a page in Markdown."""
    registry = importlib.import_module(f"{LIBRARY}.registry.table").Registry
    families = {}
    for path in sorted((ROOT / LIBRARY / "registry").glob("*.py")):
        module = importlib.import_module(f"{LIBRARY}.registry.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, registry):
                families[value.family] = value
    lines = ["What can be named in Python and on the command line."]
    for name, family in families.items():
        lines += ["", f"## {name.capitalize()}", ""]
        for entry in family:
            lines.append(f"* `{entry.name}`: {entry.help}")
            for setting in entry.settings:
                flag = setting.flag_name
                known_as = f" (`--{flag}`)" if flag else ""
                lines.append(
                    f"    * `{setting.name}`{known_as}: {setting.range}, by "
                    f"default `{setting.default!r}`. {setting.help}"
                )
    return "\n".join(lines)


def page_text(path: pathlib.Path, pages: dict[str, pathlib.Path]) -> str:
    """Returns a guide with the links to other guides turned to their pages."""

    def replace(match: re.Match[str]) -> str:
        target = (path.parent / match["path"]).resolve()
        for name, guide in pages.items():
            if guide == target:
                return f"]({name}.html{match['anchor'] or ''})"
        return match[0]

    return re.sub(
        r"\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)",
        replace,
        path.read_text(),
    )


def build(folder: pathlib.Path) -> None:
    """Writes all pages.

    Args:
        folder: Where to; made if need be.
    """
    importlib.import_module(LIBRARY)
    pages = guides()
    texts = {name: page_text(path, pages) for name, path in pages.items()}
    texts["settings"] = settings_page()
    modules = {}
    for name, text in texts.items():
        # To pdoc, a guide is a module that consists of its docstring.
        guide = types.ModuleType(name, text)
        guide.__docformat__ = "markdown"  # type: ignore[attr-defined]
        guide.__all__ = []  # type: ignore[attr-defined]
        modules[name] = pdoc.doc.Module(guide)
    for name in public_modules():
        modules[name] = pdoc.doc.Module(sys.modules[name])
    # Fields that a dataclass inherits have annotations of another module.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.render.configure(docformat="google", show_source=False)
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in modules.items():
        file = folder / f"{name.replace('.', '/')}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(pdoc.render.html_module(module, modules))
    (folder / "index.html").write_text(pdoc.render.html_index(modules))
    (folder / "search.js").write_text(pdoc.render.search_index(modules))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    build(pathlib.Path(sys.argv[1]))
