"""The BUILD files describe the tree: targets are files, deps are imports."""

import ast
import functools
import importlib.metadata
import pathlib
import sys

import pytest

from tools import build_files

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = ("py_library", "py_binary", "py_test")
TREES = ("benchmarks", "flags", "hydra_tf", "tests", "tools", "trainers")

# What Bazel needs to run a test with pytest, whatever the test imports.
RUNNER = "//tests:run_pytest"


def python_files():
    return {
        path.relative_to(ROOT).as_posix()
        for tree in TREES
        for path in (ROOT / tree).rglob("*.py")
    }


def declared_targets():
    """Reads all BUILD files: a list of (package, rule, attributes)."""
    targets = []
    for tree in TREES:
        for file in (ROOT / tree).rglob("BUILD"):
            package = file.parent.relative_to(ROOT).as_posix()
            for statement in ast.parse(file.read_text()).body:
                call = statement.value
                if call.func.id in RULES:
                    attributes = {
                        keyword.arg: keyword.value for keyword in call.keywords
                    }
                    targets.append((package, call.func.id, attributes))
    return targets


def texts(node):
    return [element.value for element in node.elts]


def absolute(package, label):
    """Writes every label as //package:name."""
    owner, _, name = label.removeprefix("//").partition(":")
    if label.startswith(":"):
        owner = package
    return f"//{owner}:{name or owner.split('/')[-1]}"


def owner_of(package, attributes):
    """The one Python file of a target, relative to the root."""
    (source,) = [
        source
        for source in texts(attributes["srcs"])
        if not source.startswith("//")
    ]
    return f"{package}/{source}"


def runtime_imports(path):
    """All (module, names) a file imports, but those for type checkers."""
    tree = ast.parse((ROOT / path).read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(
            node.test
        ):
            skipped.update(
                id(inner) for child in node.body for inner in ast.walk(child)
            )
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            for alias in node.names:
                yield node.module, alias.name


def file_of(module):
    stem = module.replace(".", "/")
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        if (ROOT / path).exists():
            return path
    return None


@pytest.fixture(scope="module")
def targets():
    return declared_targets()


def test_every_python_file_has_exactly_one_target(targets):
    declared = [owner_of(package, attrs) for package, _, attrs in targets]
    assert len(declared) == len(set(declared))
    assert set(declared) == python_files()


def test_rules_say_what_the_files_are(targets):
    for package, rule, attributes in targets:
        path = owner_of(package, attributes)
        is_program = "if __name__ ==" in (ROOT / path).read_text()
        if path.endswith("_test.py"):
            assert rule == "py_test", path
            assert attributes["size"].value in ("small", "medium", "large")
        else:
            assert (rule == "py_binary") == is_program, path


def test_first_party_deps_are_the_imports(targets):
    labels = {
        owner_of(package, attrs): f"//{package}:{attrs['name'].value}"
        for package, _, attrs in targets
    }
    for package, rule, attributes in targets:
        path = owner_of(package, attributes)
        expected = set()
        for module, name in runtime_imports(path):
            if module.split(".")[0] not in TREES:
                continue
            found = name and file_of(f"{module}.{name}")
            expected.add(labels[found or file_of(module)])
        if rule == "py_test":
            expected.add(RUNNER)
            expected.update(
                labels[conftest]
                for folder in pathlib.PurePosixPath(path).parents
                if (conftest := f"{folder}/conftest.py") in labels
            )
        declared = {
            absolute(package, element.value)
            for element in getattr(attributes.get("deps"), "elts", [])
            if isinstance(element, ast.Constant)
        }
        assert declared == expected, path


def test_third_party_deps_are_the_imports(targets):
    for package, _, attributes in targets:
        path = owner_of(package, attributes)
        imported = {module.split(".")[0] for module, _ in runtime_imports(path)}
        imported -= {*TREES, *sys.stdlib_module_names, *build_files.EXTRAS}
        provided = set()
        for element in getattr(attributes.get("deps"), "elts", []):
            if isinstance(element, ast.Call):
                names = top_level_names(element.args[0].value)
                assert imported & names, f"{path} does not import {names}"
                provided |= names
        assert imported <= provided, path


@functools.cache
def top_level_names(distribution):
    """What can be imported from an installed distribution."""
    files = importlib.metadata.files(distribution)
    return {file.parts[0].removesuffix(".py") for file in files}


def test_every_third_party_dep_is_pinned(targets):
    pins = {
        "requirement": build_files.requirement_names(ROOT / "requirements.txt"),
        "dev_requirement": build_files.requirement_names(
            ROOT / "requirements-dev.txt"
        ),
    }
    for _, _, attributes in targets:
        for element in getattr(attributes.get("deps"), "elts", []):
            if isinstance(element, ast.Call):
                assert element.args[0].value in pins[element.func.id]


def test_library_needs_nothing_for_development(targets):
    for package, _, attributes in targets:
        if package.split("/")[0] == "hydra_tf":
            assert "dev_requirement" not in ast.dump(
                ast.List(getattr(attributes.get("deps"), "elts", []))
            )


def test_labels_of_data_and_mains_exist(targets):
    labels = {f"//{p}:{attrs['name'].value}" for p, _, attrs in targets}
    assert RUNNER in labels
    known = {"//flags:presets", "//tests:testdata"}
    for package, _, attributes in targets:
        if "data" in attributes:
            names = texts(attributes["data"])
            assert {absolute(package, name) for name in names} <= known


def small_repository(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "requirements.txt").write_text("numpy==2.0\npillow==11.0\n")
    (root / "requirements-dev.txt").write_text("pytest==9.0\n")
    return build_files.Repository(root)


def test_imports_inside_functions_and_of_other_names_count(tmp_path):
    repository = small_repository(
        tmp_path,
        {
            "hydra_tf/__init__.py": "",
            "hydra_tf/one.py": "",
            "hydra_tf/two.py": (
                "import os\n"
                "from typing import TYPE_CHECKING\n"
                "from hydra_tf import one\n"
                "if TYPE_CHECKING:\n"
                "    import numpy\n"
                "def open_image():\n"
                "    from PIL import Image\n"
            ),
        },
    )
    target = repository.targets()["//hydra_tf:two"]
    assert target.deps == {"//hydra_tf:one"}
    assert target.runtime == {"pillow"}


def test_cycle_is_an_error_that_names_it(tmp_path):
    repository = small_repository(
        tmp_path,
        {
            "hydra_tf/one.py": "import hydra_tf.two\n",
            "hydra_tf/two.py": "def f():\n    from hydra_tf import one\n",
        },
    )
    with pytest.raises(build_files.BuildError, match="cycle: .*:one <- .*:two"):
        repository.targets()


def test_import_of_an_unpinned_package_is_an_error(tmp_path):
    repository = small_repository(tmp_path, {"hydra_tf/one.py": "import jax"})
    with pytest.raises(build_files.BuildError, match="imports jax, which"):
        repository.targets()


def test_build_files_are_up_to_date(capsys):
    assert build_files.main(["--check"]) == 0, capsys.readouterr().out
