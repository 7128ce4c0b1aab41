"""Writes the Bazel `BUILD` files from the imports of the Python files.

    python tools/build_files.py          # write them all
    python tools/build_files.py --check  # only name those that are out of date

Every module becomes a `py_library` (a package's `__init__.py` bears the name of
the package), every program a `py_binary` and every `*_test.py` a `py_test`. Its
`deps` are what the file imports, at the top or inside a function; what stands
under `if TYPE_CHECKING` is not needed to run it and does not count.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import graphlib
import pathlib
import re
import sys
from collections.abc import Iterable
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
TREES = ("benchmarks", "flags", "hydra_tf", "tests", "tools", "trainers")

# Import names whose distribution is called otherwise; the others differ from
# theirs by underscores at most.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "google": "protobuf",
    "sklearn": "scikit-learn",
    "tensorflow_serving": "tensorflow-serving-api",
}

# Optional extras of pyproject.toml, which Bazel does without.
EXTRAS = frozenset(
    {
        "ai_edge_litert",
        "keras_hub",
        "kubernetes",
        "onnx",
        "onnxruntime",
        "tf2onnx",
        "torch",
    }
)

# Tests that read the checkout itself, which a Bazel sandbox does not hold.
CHECKOUT_TESTS = (
    "tests/architecture_test.py",
    "tests/build_files_test.py",
    "tests/docs_test.py",
    "tests/make_venv_test.py",
    "tests/wheel_test.py",
)

HEADER = "# Written by `make build-files`; see tools/build_files.py.\n"

TOP_LEVEL = f"""{HEADER}
package(default_visibility = ["//visibility:public"])

exports_files([
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
])
"""

# Files that are not Python: package, name and pattern of their filegroup.
DATA = {
    "flags": ("presets", "presets/**/*.flags"),
    "tests": ("testdata", "testdata/**"),
}


class BuildError(Exception):
    """The tree cannot be described by BUILD files."""


@dataclasses.dataclass(frozen=True)
class Target:
    """One Python file as Bazel sees it.

    Attributes:
        path: The file, relative to the root.
        rule: `py_library`, `py_binary` or `py_test`.
        deps: Labels of the first-party targets it imports, absolute.
        runtime: Distributions of `requirements.txt` it imports.
        development: Distributions of `requirements-dev.txt` it imports.
        data: Labels of the data it reads, absolute.
        attributes: Further attributes of the rule.
    """

    path: pathlib.PurePosixPath
    rule: str
    deps: frozenset[str]
    runtime: frozenset[str]
    development: frozenset[str]
    data: frozenset[str]
    attributes: tuple[tuple[str, object], ...]

    @property
    def label(self) -> str:
        """The absolute label."""
        return label_of(self.path)


def label_of(path: pathlib.PurePosixPath) -> str:
    """Returns the absolute label of a Python file's target."""
    name = path.parent.name if path.stem == "__init__" else path.stem
    return f"//{path.parent}:{name}"


def requirement_names(path: pathlib.Path) -> set[str]:
    """Returns the normalised distribution names of a requirements file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return {normalised(name.group()) for name in names if name}


def normalised(distribution: str) -> str:
    """Returns a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Repository:
    """The Python files of a checkout and what they import."""

    def __init__(self, root: pathlib.Path = ROOT):
        self.root = root
        self.files = {
            pathlib.PurePosixPath(path.relative_to(root).as_posix())
            for tree in TREES
            for path in (root / tree).rglob("*.py")
        }
        self.runtime = requirement_names(root / "requirements.txt")
        self.development = (
            requirement_names(root / "requirements-dev.txt") - self.runtime
        )

    def find(self, module: str) -> pathlib.PurePosixPath | None:
        """Returns the file that defines a dotted module name, if it is ours."""
        stem = pathlib.PurePosixPath(*module.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path in self.files:
                return path
        return None

    def target(self, path: pathlib.PurePosixPath) -> Target:
        """Returns the target of one file.

        Raises:
            BuildError: An import belongs neither to this repository nor to the
                standard library nor to a pinned requirement.
        """
        source = (self.root / path).read_text(encoding="utf-8")
        tree = ast.parse(source, str(path))
        deps: set[str] = set()
        distributions: set[str] = set()
        for candidates in imported_modules(tree, path):
            top = candidates[-1].split(".")[0]
            found = next(filter(None, map(self.find, candidates)), None)
            if found:
                deps.add(label_of(found))
            elif top in sys.stdlib_module_names or top in EXTRAS:
                continue
            elif top in TREES:
                raise BuildError(f"{path}: there is no module {candidates[0]}")
            else:
                distributions.add(normalised(DISTRIBUTIONS.get(top, top)))
        unknown = distributions - self.runtime - self.development
        if unknown:
            raise BuildError(
                f"{path}: imports {', '.join(sorted(unknown))}, which neither "
                "requirements.txt nor requirements-dev.txt pins"
            )

        rule, attributes = "py_library", []
        if path.name.endswith("_test.py"):
            rule = "py_test"
            attributes = self._test_attributes(path, source)
            deps.add("//tests:run_pytest")
            deps.update(self._conftests(path))
        elif has_main(tree):
            rule = "py_binary"
        return Target(
            path=path,
            rule=rule,
            deps=frozenset(deps),
            runtime=frozenset(distributions & self.runtime),
            development=frozenset(distributions & self.development),
            data=frozenset(self._data(tree)),
            attributes=tuple(attributes),
        )

    def _conftests(self, path: pathlib.PurePosixPath) -> Iterator[str]:
        for folder in path.parents:
            if folder / "conftest.py" in self.files:
                yield label_of(folder / "conftest.py")

    def _data(self, tree: ast.Module) -> Iterator[str]:
        # A file reads the folder that it names.
        words = {
            part
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            for part in re.split(r"[/\\]", node.value)
        }
        for package, (name, _) in DATA.items():
            if name in words:
                yield f"//{package}:{name}"

    def _test_attributes(
        self, path: pathlib.PurePosixPath, source: str
    ) -> list[tuple[str, object]]:
        if "mark.slow" in source or path.parts[1] == "trainers":
            size = "large"
        elif re.search(r"\b(tensorflow|keras|hydra_tf)\b", source):
            size = "medium"
        else:
            size = "small"
        attributes: list[tuple[str, object]] = [
            ("size", size),
            ("main", "//tests:run_pytest.py"),
            ("args", [f"$(rootpath {path.name})"]),
        ]
        if str(path) in CHECKOUT_TESTS:
            attributes.append(("tags", ["manual"]))
        return attributes

    def targets(self) -> dict[str, Target]:
        """Returns all targets by label.

        Raises:
            BuildError: Two files want the same label, or imports form a cycle.
        """
        targets: dict[str, Target] = {}
        for path in sorted(self.files):
            target = self.target(path)
            if target.label in targets:
                raise BuildError(
                    f"{path} and {targets[target.label].path} would both be "
                    f"{target.label}; rename the module"
                )
            targets[target.label] = target
        graph = {label: target.deps for label, target in targets.items()}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            raise BuildError(
                "imports form a cycle: " + " <- ".join(error.args[1])
            ) from None
        return targets

    def build_files(self) -> dict[pathlib.PurePosixPath, str]:
        """Returns the text of every BUILD file by path."""
        packages: dict[pathlib.PurePosixPath, list[Target]] = {}
        for target in self.targets().values():
            packages.setdefault(target.path.parent, []).append(target)
        texts = {pathlib.PurePosixPath("BUILD"): TOP_LEVEL}
        for folder, targets in packages.items():
            texts[folder / "BUILD"] = package_text(folder, targets)
        return texts


def imported_modules(
    tree: ast.Module, path: pathlib.PurePosixPath
) -> Iterator[list[str]]:
    """Yields what each import may mean, the most specific module first.

    `from a.b import c` is the module `a.b.c` if there is one, else `a.b`.
    """
    package = list(path.parent.parts)
    for node in runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield [alias.name]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) - node.level + 1]
                base = ".".join(parents + ([base] if base else []))
            if base == "__future__":
                continue
            for alias in node.names:
                yield [f"{base}.{alias.name}", base]


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes but those under `if TYPE_CHECKING`."""
    yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from runtime_nodes(child)


def has_main(tree: ast.Module) -> bool:
    """Tells whether a file is a program."""
    return any(
        isinstance(node, ast.If) and "'__main__'" in ast.unparse(node.test)
        for node in tree.body
    )


def package_text(
    folder: pathlib.PurePosixPath, targets: Iterable[Target]
) -> str:
    """Returns the text of one package's BUILD file."""
    targets = sorted(targets, key=lambda target: target.label)
    public = folder.parts[0] == "hydra_tf"
    visibility = "//visibility:public" if public else "//:__subpackages__"
    lines = [HEADER]
    # Buildifier's order: loads by label, then the package.
    if any(target.runtime for target in targets):
        lines.append('load("@pypi//:requirements.bzl", "requirement")')
    if any(target.development for target in targets):
        lines.append(
            'load("@pypi_dev//:requirements.bzl", '
            'dev_requirement = "requirement")'
        )
    rules = sorted({target.rule for target in targets})
    names = ", ".join(f'"{rule}"' for rule in rules)
    lines.append(f'load("@rules_python//python:defs.bzl", {names})')
    lines += ["", f'package(default_visibility = ["{visibility}"])']
    if str(folder) == "tests":
        lines += ["", 'exports_files(["run_pytest.py"])']
    for target in targets:
        lines += ["", *rule_lines(target)]
    if str(folder) in DATA:
        name, pattern = DATA[str(folder)]
        lines += [
            "",
            "filegroup(",
            f'    name = "{name}",',
            f'    srcs = glob(["{pattern}"]),',
            ")",
        ]
    return "\n".join(lines) + "\n"


def rule_lines(target: Target) -> list[str]:
    """Returns one rule, its attributes in the usual order."""
    package, name = target.label.removeprefix("//").split(":")
    attributes = dict(target.attributes)
    sources = [target.path.name]
    if target.rule == "py_test":
        sources.append(str(attributes["main"]))

    def shown(label: str) -> str:
        # Short forms: `:name` in the own package, `//a/b` for `//a/b:b`.
        owner, _, short = label.removeprefix("//").partition(":")
        if owner == package:
            return f'":{short}"'
        if owner.split("/")[-1] == short:
            return f'"//{owner}"'
        return f'"{label}"'

    def listed(key: str, items: list[str]) -> list[str]:
        if len(items) == 1:
            return [f"    {key} = [{items[0]}],"]
        inner = [f"        {item}," for item in items]
        return [f"    {key} = [", *inner, "    ],"]

    def labels(items: Iterable[str]) -> list[str]:
        return sorted(map(shown, items), key=lambda x: (x[1] != ":", x))

    deps = labels(target.deps)
    deps += [f'requirement("{name}")' for name in sorted(target.runtime)]
    deps += [
        f'dev_requirement("{name}")' for name in sorted(target.development)
    ]
    lines = [f"{target.rule}(", f'    name = "{name}",']
    if "size" in attributes:
        lines.append(f'    size = "{attributes["size"]}",')
    lines += listed("srcs", [f'"{source}"' for source in sources])
    for key in ("args", "tags"):
        if key in attributes:
            lines += listed(key, [f'"{item}"' for item in attributes[key]])
    if target.data:
        lines += listed("data", labels(target.data))
    if "main" in attributes:
        lines.append(f'    main = "{attributes["main"]}",')
    if deps:
        lines += listed("deps", deps)
    return [*lines, ")"]


def main(arguments: list[str]) -> int:
    """Writes or checks the BUILD files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if a BUILD file is not up to date",
    )
    check = parser.parse_args(arguments).check
    try:
        texts = Repository().build_files()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    present = {
        pathlib.PurePosixPath(path.relative_to(ROOT).as_posix())
        for tree in TREES
        for path in (ROOT / tree).rglob("BUILD")
    }
    stale = sorted(present - texts.keys())
    for path, text in texts.items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                file.write_text(text, encoding="utf-8")
    for path in sorted(present - texts.keys()):
        if not check:
            (ROOT / path).unlink()
    for path in stale:
        print(f"{'out of date' if check else 'updated'}: {path}")
    if check and stale:
        print("Run `make build-files`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
