"""Mistakes, by Python and by the binaries: one line that says what is right.

Each is answered before training begins, and leaves nothing half-written. To add
one, write its row in the table of its area, in `tests/mistakes/`.
"""

import importlib

import pytest

from hydra_tf.errors import InputError
from tests.mistakes.given import Given
from tests.mistakes.given import areas
from tests.trainers import binaries


def collect(table):
    cases = {}
    for area in areas():
        rows = getattr(
            importlib.import_module(f"tests.mistakes.{area}"), table, {}
        )
        assert not cases.keys() & rows.keys(), area
        cases |= rows
    return cases


PYTHON = collect("PYTHON")
COMMANDS = collect("COMMANDS")


def files_below(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("case", PYTHON)
def test_python_raises_one_line(case, tmp_path, monkeypatch):
    make_mistake, words = PYTHON[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        make_mistake(Given(tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("case", COMMANDS)
def test_binary_answers_in_one_line(case, tmp_path, capfd):
    line, words = COMMANDS[case]
    # What has to be there first is written by a function of the folder.
    prepare = None if isinstance(line, str) else line[0]
    line = line if isinstance(line, str) else line[1]
    if prepare is not None:
        prepare(tmp_path)
    before = files_below(tmp_path)
    name, *arguments = line.format(folder=tmp_path).split()
    code = binaries.run(
        name,
        "--dataset=digits",
        # Flags of training, which some do not know.
        *(
            ["--fraction=0.1", "--eval_examples=10"]
            * (name not in ("certify", "convert"))
        ),
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path / 'run'}",
        *arguments,
    )
    err = capfd.readouterr().err
    assert code not in (0, None), err
    assert err.startswith(f"{name}: error: "), err
    assert err.count("\n") == 1, err
    assert all(word in err for word in words), err
    assert files_below(tmp_path) == before
