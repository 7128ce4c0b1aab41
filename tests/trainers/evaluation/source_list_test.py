"""The networks that `--source` names."""

import pytest

from hydra_tf.errors import InputError
from trainers.evaluation import source_list


def test_commas_and_repeated_flags_separate_sources():
    assert source_list.split(["a,b", " c , d/e.keras,"]) == [
        "a",
        "b",
        "c",
        "d/e.keras",
    ]


def test_the_same_path_is_one_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_list.split(["a,./a/", f"{tmp_path}/a"]) == ["a"]


@pytest.mark.parametrize("given", [[], [""], [" , "]])
def test_none_is_an_error(given):
    with pytest.raises(InputError, match="--source is required"):
        source_list.split(given)


@pytest.mark.parametrize(
    "sources, names",
    [
        (["runs/a"], ["a"]),
        (["runs/a", "runs/b/"], ["a", "b"]),
        (["net", "net.keras"], ["net", "net.keras"]),
        (["x/run/s", "y/run/s", "z"], ["x/run/s", "y/run/s", "z"]),
        (["/a", "/x/a", "/x/b/a"], ["/a", "x/a", "b/a"]),
    ],
)
def test_names_are_short_and_differ(sources, names):
    assert source_list.names(sources) == names
    assert len(set(names)) == len(sources)
