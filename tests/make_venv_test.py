"""tools/make_venv.sh says what is wrong with the machine, or mends it."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def make_venv(venv, requirements, python):
    return subprocess.run(
        ["tools/make_venv.sh", str(venv), str(requirements)],
        cwd=ROOT,
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


def interpreter(folder, script):
    """A program that stands in for Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def requirements_file(folder, text=""):
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def test_unsupported_python_is_named_with_its_version(tmp_path):
    python = interpreter(
        tmp_path, 'test "$1" = --version && echo Python 3.13.0 || exit 1'
    )
    result = make_venv(tmp_path / "venv", requirements_file(tmp_path), python)
    assert result.returncode == 1
    assert f"'{python}' is Python 3.13.0" in result.stderr
    assert "needs Python 3.10, 3.11 or 3.12" in result.stderr
    assert "make PYTHON=" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_missing_python_is_named(tmp_path):
    python = tmp_path / "nowhere" / "python"
    result = make_venv(tmp_path / "venv", requirements_file(tmp_path), python)
    assert result.returncode == 1
    assert f"there is no '{python}'" in result.stderr


def test_python_without_ensurepip_names_the_package(tmp_path):
    python = interpreter(
        tmp_path,
        'case "$2" in *ensurepip*) exit 1 ;; esac\n'
        f'exec "{sys.executable}" "$@"',
    )
    result = make_venv(tmp_path / "venv", requirements_file(tmp_path), python)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert result.returncode == 1
    assert f"python{version}-venv" in result.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment where one was half made, and what was said."""
    venv = tmp_path_factory.mktemp("half") / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(venv / "gone")
    result = make_venv(venv, requirements_file(venv.parent), sys.executable)
    assert result.returncode == 0, result.stderr
    return venv, result.stdout


# Each installs pip.
@pytest.mark.slow
def test_half_made_environment_is_made_anew_and_kept_after(
    environment, tmp_path
):
    venv, said = environment
    assert f"Making {venv}" in said
    again = make_venv(venv, requirements_file(tmp_path), sys.executable)
    assert again.returncode == 0, again.stderr
    assert "Making" not in again.stdout


@pytest.mark.slow
def test_failing_installation_fails(environment, tmp_path):
    venv, _ = environment
    requirements = requirements_file(tmp_path, "./there-is-no-such-folder\n")
    result = make_venv(venv, requirements, sys.executable)
    assert result.returncode != 0
    assert "Installed." not in result.stdout
