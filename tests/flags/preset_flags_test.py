"""Recipes are found by name, in the place that the command line says."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import preset_flags

DEMO = preset_flags.PRESETS / "digits_demo.flags"


def flags_in(path):
    return [
        line for line in path.read_text().split("\n") if line.startswith("--")
    ]


def demo_flags():
    included, *own = flags_in(DEMO)
    assert included == "--preset=digits_fast"
    return [*flags_in(preset_flags.PRESETS / "digits_fast.flags"), *own]


@pytest.mark.parametrize(
    "words",
    [
        ["--preset=digits_demo"],
        ["-preset", "digits_demo"],
        ["--preset=digits_demo.flags"],
        ["--flagfile=digits_demo"],
        ["--flagfile=digits_demo.flags"],
        ["--flagfile=flags/presets/digits_demo.flags"],
        ["--flagfile", str(DEMO)],
    ],
)
def test_recipe_is_found_by_name_from_anywhere(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expanded = preset_flags.expand(["--seed=1", *words, "--density=0.5"])
    assert expanded == ["--seed=1", *demo_flags(), "--density=0.5"]


def test_file_of_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits_demo").write_text("--seed=3\n")
    assert preset_flags.expand(["--flagfile=digits_demo"]) == ["--seed=3"]


def test_recipe_and_file_include_recipes_where_they_name_them(tmp_path):
    own = tmp_path / "own.flags"
    own.write_text("--seed=1\n--preset=hydra/cifar10_vgg16_bn_trades_lwm\n")
    expanded = preset_flags.expand([f"--flagfile={own}"])
    assert expanded[0] == "--seed=1"
    assert not any("preset" in word or "flagfile" in word for word in expanded)
    # In the order of the files: what stands later wins.
    places = [
        expanded.index(word)
        for word in ("--objective=trades", "--model=vgg16_bn", "--method=lwm")
    ]
    assert places == sorted(places)


def test_words_after_two_dashes_are_no_flags():
    words = ["--", "--preset=digits_demo"]
    assert preset_flags.expand(words) == words


@pytest.mark.parametrize(
    "word, hint",
    [
        ("--preset=digits_dem", "did you mean --preset=digits_demo or"),
        (
            "--preset=cifar10_vgg16_bn_trades_95",
            "hydra/cifar10_vgg16_bn_trades",
        ),
        ("--preset=", "--list_presets"),
        ("--preset=../from_settings", "--list_presets"),
        ("--flagfile=flags/presets/digits_dem.flags", "--preset=digits_demo"),
        ("--flagfile=/nowhere", "no such file; --list_presets"),
    ],
)
def test_unknown_name_is_answered_with_those_like_it(word, hint):
    with pytest.raises(flags.Error) as raised:
        preset_flags.expand([word])
    assert str(raised.value).startswith(f"flag {word}: there is no such ")
    assert hint in str(raised.value)


def test_recipe_that_was_not_expanded_is_an_error():
    with (
        flagsaver.flagsaver(),
        pytest.raises(
            flags.Error, match="digits_demo: recipes are of training"
        ),
    ):
        flags.FLAGS(["binary", "--preset=digits_demo"])


def test_listing_has_each_recipe_below_its_family_and_source():
    blocks = preset_flags.listing().split("\n\n")
    listed = {
        line.split()[0]: block.split("\n")[0]
        for block in blocks[:-1]
        for line in block.split("\n")[1:]
    }
    assert sorted(listed) == preset_flags.names()
    assert listed["digits_demo"].startswith("demonstrations: ")
    name = "hydra/cifar10_vgg16_bn_trades"
    assert listed[name].startswith("hydra: HYDRA (NeurIPS 2020), section 4")
    (line,) = (
        line
        for block in blocks[:-1]
        for line in block.split("\n")
        if line.startswith(f"  {name} ")
    )
    assert line.split(None, 1)[1] == (
        "0.1, 0.05, 0.01   HYDRA, TRADES: CIFAR-10, VGG16-BN"
    )


@pytest.mark.parametrize("word", ["--flagfile=own", "--flagfile own"])
@pytest.mark.parametrize("length", [1, 3])
def test_file_that_includes_itself_is_an_error(
    word, length, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = [*[f"other{index}" for index in range(length - 1)], "own"]
    for name, included in zip(["own", *names], names, strict=False):
        (tmp_path / name).write_text(f"--seed=1\n--flagfile=./{included}\n")
    with pytest.raises(
        flags.Error, match="--flagfile=./own: the file includes itself"
    ):
        preset_flags.expand(word.split())


def test_file_may_be_included_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").write_text("# of mine\n\n--seed=1\n")
    assert preset_flags.expand(["--flagfile=own"] * 2) == ["--seed=1"] * 2


def test_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "own").write_bytes(b"--seed=\xff")
    with pytest.raises(flags.Error, match="own: cannot be read: it is no text"):
        preset_flags.expand([f"--flagfile={tmp_path / 'own'}"])


def test_sources_after_a_file_stand_in_place_of_its_own(tmp_path):
    file = tmp_path / "run.flags"
    file.write_text("--source=dense\n--source=other\n--seed=1\n")
    given = f"--flagfile={file}"
    own = ["--source=dense", "--source=other", "--seed=1"]
    assert preset_flags.expand([given]) == own
    assert preset_flags.expand([given, "--source=a", "--source", "b"]) == [
        *("--seed=1", "--source=a", "--source", "b")
    ]
    assert preset_flags.expand(["--source=a", given]) == ["--source=a", *own]
