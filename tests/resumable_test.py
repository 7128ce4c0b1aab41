import json

import numpy as np
import pytest

from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.resumable import ResumableTable
from hydra_tf.resumable import digest
from tests.disks import file_size_limit

COLUMNS = {"index": int, "radius": float, "name": str}
ROWS = [
    {"index": 0, "radius": 0.1 + 0.2, "name": "cat"},
    {"index": 1, "radius": 0.0, "name": "dog"},
    {"index": 2, "radius": 1e-30, "name": "ship"},
]


def table(path, **settings):
    return ResumableTable(path, COLUMNS, {"sigma": 0.25, "n": 10, **settings})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "made" / "rows.tsv"
    new = table(path)
    assert new.read() == []
    assert not path.exists()
    for row in ROWS:
        new.append(row)
    return path


def test_rows_read_back_as_they_were(path):
    assert table(path).read() == ROWS


def test_the_file_is_a_table_under_its_settings(path):
    settings, header, *rows = path.read_text().splitlines()
    assert json.loads(settings.removeprefix("# ")) == {"n": 10, "sigma": 0.25}
    assert header == "index\tradius\tname\tchecksum"
    assert rows[1].startswith("1\t0.0\tdog\t")


def test_a_table_is_resumed(path):
    again = table(path)
    again.read()
    again.append({"index": 3, "radius": 2.0, "name": "frog"})
    assert [row["index"] for row in table(path).read()] == [0, 1, 2, 3]


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_line_that_was_cut_off_is_dropped(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = table(path)
    assert again.read() == ROWS[:2]
    again.append(ROWS[2])
    assert path.read_bytes() == whole


def test_other_settings_are_refused_and_the_file_is_left_alone(path):
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        table(path, n=20, seed=1).read()
    message = str(error.value)
    assert "n 10 instead of 20" in message
    assert "seed None instead of 1" in message
    assert "sigma" not in message and "\n" not in message
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table to resume"),
        ("notes\n", "no table to resume"),
        ("# notes\n", "no table to resume"),
        ("# [1]\n", "no table to resume"),
        ('# {"n": 10, "sigma": 0.25}\nindex\tname\n', "has other columns"),
        (
            '# {"n": 10, "sigma": 0.25}\nindex\tradius\tname\tchecksum\n'
            "1\t2.0\tcat\t00000000\n",
            "line 3, was changed",
        ),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, text, message):
    path = tmp_path / "rows.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        table(path).read()
    assert path.read_text() == text


def test_no_changed_byte_is_taken_for_a_result(path):
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flipped in (1, 16):
            changed = bytearray(whole)
            changed[place] ^= flipped
            path.write_bytes(changed)
            try:
                rows = table(path).read()
            except InputError as error:
                assert "\n" not in str(error)
            else:
                # A last line that has no end is one that was cut off.
                assert rows == (ROWS if place < len(whole) - 1 else ROWS[:2]), (
                    place,
                    changed[place],
                )


def test_lines_that_were_moved_or_removed_are_noticed(path):
    first, header, *lines = path.read_text().splitlines(keepends=True)
    for others in (lines[1:], [lines[1], lines[0], lines[2]], [lines[0]] * 2):
        path.write_text("".join([first, header, *others]))
        with pytest.raises(InputError, match="was changed after"):
            table(path).read()


def test_a_full_disk_is_named_and_the_table_resumes(path, monkeypatch):
    whole = path.read_bytes()
    again = table(path)
    again.read()
    row = {"index": 3, "radius": 2.0, "name": "frog"}
    with (
        file_size_limit(len(whole) + 5),
        pytest.raises(FileError, match=r"rows.tsv cannot be written: File too"),
    ):
        again.append(row)
    assert table(path).read() == ROWS
    again = table(path)
    again.read()
    again.append(row)
    assert table(path).read() == [*ROWS, row]


def test_digest_tells_values_shapes_and_types_apart():
    array = np.arange(6.0)
    assert digest(array) == digest(array.copy())
    others = [array + 1, array.reshape(2, 3), array.astype(np.float32)]
    assert len({digest(array), *map(digest, others)}) == 4
    # Of views, too.
    assert digest(array[::2]) == digest(array[::2].copy())
