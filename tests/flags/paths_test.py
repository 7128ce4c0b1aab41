"""Paths in the value of a flag."""

from flags import paths


def test_commas_separate_but_not_within_a_path_that_exists(tmp_path):
    odd = tmp_path / "runs,1,2"
    odd.mkdir()
    (tmp_path / "x").mkdir()
    whole = f"{tmp_path / 'x'},{odd}, {odd / 'missing'},"
    # What does not exist is named as it would be, piece by piece.
    assert paths.split(whole) == [
        str(tmp_path / "x"),
        str(odd),
        str(tmp_path / "runs"),
        "1",
        "2/missing",
    ]


def test_nothing_between_commas_is_no_path():
    assert paths.split(" , ") == paths.split("") == []
