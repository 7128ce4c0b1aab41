"""The wheel: what it installs, and that it runs outside a checkout."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = ("flags", "hydra_tf", "trainers")
FILES = (
    "LICENSE",
    "README.md",
    "hydra_tf_console.py",
    "pyproject.toml",
    "setup.py",
)
BINARIES = (
    "pretrain prune finetune pipeline sweep evaluate certify report export "
    "convert inspect pseudo_label"
).split()


def run(*command, cwd, check=True):
    """Runs a program that does not see the checkout."""
    hidden = ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL", "PYTEST_CURRENT_TEST")
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k not in hidden},
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def build_wheel(source, target):
    """Builds with the setuptools of this environment, without network."""
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "-w", target, source, cwd=target.parent)
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy, in which building leaves its traces."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        shutil.copytree(
            ROOT / name,
            copy / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    return build_wheel(checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    before = set(packages.iterdir())
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    added = {path.name for path in set(packages.iterdir()) - before}
    dependencies = sysconfig.get_path("purelib")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "bin", added


@pytest.fixture
def empty(tmp_path):
    """An empty working directory."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_top_level_names_are_the_packages_own(installed):
    _, added = installed
    names = {name for name in added if not name.endswith(".dist-info")}
    assert names <= {"hydra_tf", "hydra_tf_console.py", "__pycache__"}


def test_wheel_holds_every_module_and_every_preset(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    for tree in SOURCES:
        prefix = "" if tree == "hydra_tf" else "hydra_tf/binaries/"
        for path in (ROOT / tree).rglob("*"):
            if path.suffix in (".py", ".flags", ".html", ".css", ".js"):
                assert prefix + path.relative_to(ROOT).as_posix() in held
    assert not any(name.endswith(("BUILD", "_test.py")) for name in held)


@pytest.mark.slow
def test_sdist_builds_the_same_wheel(checkout, wheel, tmp_path):
    program = "from setuptools import build_meta as b; b.build_sdist('dist')"
    run(sys.executable, "-c", program, cwd=checkout)
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    again = build_wheel(sdist, tmp_path)
    assert contents(again) == contents(wheel)


def contents(wheel):
    archive = zipfile.ZipFile(wheel)
    return {info.filename: info.CRC for info in archive.infolist()}


@pytest.mark.parametrize("name", BINARIES)
def test_command_is_installed_and_explains_itself(installed, empty, name):
    bin_folder, _ = installed
    done = run(bin_folder / f"hydra-tf-{name}", "--help", cwd=empty)
    assert f"\n    hydra-tf-{name} " in done.stdout
    assert "python -m" not in done.stdout
    needed = {"inspect": "--source:", "pseudo_label": "--output:"}
    assert needed.get(name, "--output_dir:") in done.stdout


def test_mistake_names_the_command(installed, empty):
    bin_folder, _ = installed
    command = bin_folder / "hydra-tf-pipeline"
    done = run(command, "--preset=digits_dem", cwd=empty, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("hydra-tf-pipeline: error: flag --preset=")
    assert "--preset=digits_demo" in done.stderr


@pytest.mark.slow
def test_preset_runs_outside_a_checkout(installed, empty):
    bin_folder, _ = installed
    # Not in a checkout, where nothing else is called so.
    (empty / "network.py").write_text(
        "import keras\n\n\n"
        "def small(input_shape, num_classes):\n"
        "    return keras.Sequential([\n"
        "        keras.layers.Input(input_shape),\n"
        "        keras.layers.Flatten(),\n"
        "        keras.layers.Dense(16, activation='relu'),\n"
        "        keras.layers.Dense(num_classes),\n"
        "    ])\n"
    )
    run(
        bin_folder / "hydra-tf-pipeline",
        "--preset=digits_demo",
        "--model=network:small",
        "--pretrain_epochs=1",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        "--num_steps=1",
        "--compare=",
        "--eval_attacks=pgd",
        "--eval_num_steps=2",
        "--eval_num_restarts=1",
        "--eval_examples=40",
        "--output_dir=run",
        cwd=empty,
    )
    metrics = json.loads((empty / "run" / "metrics.json").read_text())
    assert metrics["run"]["command"].startswith(
        "hydra-tf-pipeline --preset=digits_"
    )
    assert metrics["run"]["binary"] == "pipeline"
    assert (empty / "run" / "saved_model" / "saved_model.pb").is_file()
    flagfile = (empty / "run" / "flags.txt").read_text()
    assert "\n--density=0.05\n" in flagfile
    assert "\n--preset" not in flagfile
    # The folder's flags alone are the same run, which is finished.
    again = run(
        bin_folder / "hydra-tf-pipeline", "--flagfile=run/flags.txt", cwd=empty
    )
    assert "metrics.json" in again.stdout


@pytest.mark.slow
def test_wheel_installs_into_an_empty_environment(wheel, empty, tmp_path):
    """With its dependencies, about 1 GB, as users do."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "pip", "install", "--quiet", wheel, cwd=empty)
    run(
        folder / "bin" / "hydra-tf-pipeline",
        "--preset=digits_demo",
        "--pretrain_epochs=1",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        "--output_dir=run",
        cwd=empty,
    )
    assert (empty / "run" / "saved_model" / "saved_model.pb").is_file()
