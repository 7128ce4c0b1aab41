"""The README's code does what it says."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    # Opening and closing fences take turns.
    fences = re.split(r"^```(.*)\n", README, flags=re.MULTILINE)
    opened = zip(fences[1::4], fences[2::4], strict=True)
    return [block for name, block in opened if name == language]


def _commands() -> list[list[str]]:
    commands = []
    for block in _blocks(""):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("python -m "):
                commands.append(shlex.split(line)[2:])
    return commands


def _run(arguments: list[str], folder: pathlib.Path) -> str:
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


def test_python_blocks_run_in_order(tmp_path):
    blocks = _blocks("python")
    assert len(blocks) == 7
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    output = _run([str(script)], tmp_path)
    assert re.search(r"'robust_accuracy': 0\.[5-9]", output)
    assert (tmp_path / "digits_pruned" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_commands_run_in_order(tmp_path):
    commands = [c for c in _commands() if "--data_dir" not in " ".join(c)]
    assert len(commands) == 10
    # The presets are named as from a checkout.
    (tmp_path / "flags").symlink_to(ROOT / "flags")
    for command in commands:
        _run(["-m", *command], tmp_path)
    for run in ("first", "finetuned", "exported", "channels", "shrunk"):
        assert (tmp_path / "runs" / run / "saved_model").is_dir()
    assert (tmp_path / "runs" / "attacked" / "metrics.json").is_file()
    certified = tmp_path / "runs" / "digits_certified_best"
    assert (certified / "certify.png").is_file()
