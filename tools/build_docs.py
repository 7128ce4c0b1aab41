"""Builds the guides and the API reference as HTML, without network.

    python tools/build_docs.py docs/_build

A page for every public package of the library, from the docstrings of what its
`__all__` names, and one for every guide.
"""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import sys
import types

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
    modules = {}
    for name, path in pages.items():
        # To pdoc, a guide is a module that consists of its docstring.
        guide = types.ModuleType(name, page_text(path, pages))
        guide.__docformat__ = "markdown"  # type: ignore[attr-defined]
        guide.__all__ = []  # type: ignore[attr-defined]
        modules[name] = pdoc.doc.Module(guide)
    for name in public_modules():
        modules[name] = pdoc.doc.Module(sys.modules[name])
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
