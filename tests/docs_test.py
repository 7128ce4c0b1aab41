"""README and guides: their code runs, their links lead somewhere."""

from __future__ import annotations

import inspect
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import hydra_tf  # noqa: F401  What the reference describes.
from tests.data import drawn
from tools import build_docs

ROOT = pathlib.Path(__file__).parent.parent
GUIDES = {name: path.read_text() for name, path in build_docs.guides().items()}


def blocks(text: str, language: str) -> list[str]:
    # Opening and closing fences take turns.
    fences = re.split(r"^```(.*)\n", text, flags=re.MULTILINE)
    opened = zip(fences[1::4], fences[2::4], strict=True)
    return [block for name, block in opened if name == language]


def python_code(name: str) -> str:
    return "\n".join(blocks(GUIDES[name], "python"))


def commands(name: str) -> list[list[str]]:
    """The arguments of Python for each command of a guide."""
    found = []
    for block in blocks(GUIDES[name], "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line)
            if program == "python":
                found.append(arguments)
            else:
                assert program in ("make", "pip"), line
    return found


def runnable(name: str) -> list[list[str]]:
    """Commands of binaries that need no downloaded data."""
    return [
        arguments
        for arguments in commands(name)
        if arguments[1].startswith("trainers.")
        and not any("--data_dir" in argument for argument in arguments)
    ]


WITH_PYTHON = [name for name in GUIDES if python_code(name)]
WITH_COMMANDS = [name for name in GUIDES if commands(name)]


def run(arguments: list[str], folder: pathlib.Path) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TFDS_DATA_DIR": str(folder / "datasets"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_readme_takes_a_model_of_ones_own_to_a_savedmodel_in_twelve_lines():
    code = python_code("readme")
    lines = code.splitlines()
    assert 0 < len([line for line in lines if line]) <= 12
    for step in ("keras.Sequential", "ht.prune", "evaluate(", "export_saved"):
        assert step in code, step


def with_one_epoch(code: str) -> str:
    code = re.sub(r"\bepochs=\d+", "epochs=1", code)
    return re.sub(
        r"(\bht\.prune\([^()]*)\)",
        r"\1, prune_epochs=1, finetune_epochs=1)",
        code,
    )


def test_python_runs_with_one_epoch(tmp_path, monkeypatch, capsys):
    # In this process, which has TensorFlow already. The other guides run in
    # full, as slow tests, each in a process of its own.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "datasets"))
    exec(with_one_epoch(python_code("readme")), {"__name__": "__main__"})
    output = capsys.readouterr().out
    assert "robust under pgd, Linf 0.1, 50 steps, 10 restarts" in output
    assert (tmp_path / "digits_pruned" / "saved_model.pb").is_file()


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_commands_have_known_flags(name, tmp_path):
    for arguments in commands(name):
        run([*arguments, "--only_check_args"], tmp_path)


@pytest.mark.parametrize("name", GUIDES)
def test_links_lead_somewhere(name):
    path = build_docs.guides()[name]
    for target, anchor in re.findall(
        r"\]\((?!https?:)([\w./-]*)#?([\w-]*)\)", GUIDES[name]
    ):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """Where links to headings lead, as GitHub and pdoc name them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def test_contributing_lists_the_folders_that_are_there():
    # The names below hydra_tf/, indented by six spaces.
    names = set(re.findall(r"^ {6}([\w.]+/?) ", GUIDES["contributing"], re.M))
    folders = {
        f"{path.parent.name}/"
        for path in (ROOT / "hydra_tf").glob("*/__init__.py")
    }
    assert folders <= names
    for name in names:
        assert (ROOT / "hydra_tf" / name).exists(), name


def test_recipes_are_those_that_are_listed(tmp_path):
    listing = run(["-m", "trainers.pipeline", "--list_presets"], tmp_path)
    listed = re.findall(r"^  ([\w/]+) {2,}(.+?) {2,}(.+)$", listing, re.M)
    rows = re.findall(
        r"^\| `([\w/]+)` \| (.+) \| (.+) \|$", GUIDES["recipes"], re.M
    )
    assert sorted(rows) == sorted(
        (name, title, densities) for name, densities, title in listed
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
def test_reference_describes_every_public_name(tmp_path):
    build_docs.build(tmp_path)
    for module_name in build_docs.public_modules():
        page = tmp_path / f"{module_name.replace('.', '/')}.html"
        text = page.read_text()
        module = sys.modules[module_name]
        for name in getattr(module, "__all__", ()):
            member = getattr(module, name)
            if not inspect.ismodule(member):
                assert f'<section id="{name}">' in text, (module_name, name)
            if callable(member) or inspect.ismodule(member):
                assert inspect.getdoc(member), (module_name, name)


@pytest.mark.slow
def test_python_reaches_its_accuracy(tmp_path):
    for name in WITH_PYTHON:
        (tmp_path / f"guide_{name}.py").write_text(python_code(name))
        output = run([f"guide_{name}.py"], tmp_path)
        if name == "python":
            assert re.search(r"'robust_accuracy': 0\.[5-9]", output)


@pytest.mark.slow
@pytest.mark.parametrize("name", filter(runnable, GUIDES))
def test_commands_run_in_order(name, tmp_path):
    drawn.folder(tmp_path / "pictures", each=60)
    for arguments in runnable(name):
        run(arguments, tmp_path)
        for argument in arguments:
            if argument.startswith("--output_dir="):
                folder = tmp_path / argument.removeprefix("--output_dir=")
                page = "trainers.report" in arguments
                written = "index.html" if page else "metrics.json"
                assert (folder / written).is_file()
