"""A line of the grid is a flag and its values, checked by that flag."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import sweep_flags
from trainers.training import settings  # noqa: F401  Defines all flags.


def parse(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", *arguments])
        return sweep_flags.sweep_from_flags()


@pytest.mark.parametrize(
    "line, flag, values",
    [
        ("density=0.1,1/20", "density", ("0.1", "1/20")),
        ("--seed=3", "seed", ("3",)),
        ("method=lwm, hydra", "method", ("lwm", "hydra")),
        ("multistep=true,false", "multistep", ("true", "false")),
        ("eval_attacks=pgd,fgsm", "eval_attacks", ("pgd,fgsm",)),
        ("eval_attacks=pgd;pgd,fgsm", "eval_attacks", ("pgd", "pgd,fgsm")),
        ("image_size=32,48x64", "image_size", ("32", "48x64")),
        ("dataset=folder:a,b;digits", "dataset", ("folder:a,b", "digits")),
        ("preset=digits_demo,digits_harp", "preset", None),
    ],
)
def test_line_is_a_flag_and_its_values(line, flag, values):
    parsed = parse(f"--grid={line}")
    assert (parsed.cell, parsed.lists) == (None, False)
    (axis,) = parsed.axes
    assert axis.flag == flag
    assert axis.values == values or ("digits_demo", "digits_harp")
    assert parse(f"--grid={axis}").axes == (axis,)


def test_later_line_of_a_flag_wins_in_the_place_of_the_first():
    grid = ["--grid=seed=0,1", "--grid=density=0.1", "--grid=seed=7"]
    assert list(map(str, parse(*grid).axes)) == ["seed=7", "density=0.1"]


@pytest.mark.parametrize(
    "line, words",
    [
        ("seed", "must be a flag and its values, such as density=0.1,0.05"),
        ("=1", "must be a flag and its values"),
        ("densty=0.1", "there is no flag --densty. Did you mean 'density'?"),
        ("density=0.1,95", "density=95: must be a number in (0, 1]"),
        ("seed=", "has an empty value"),
        ("seed=0,,1", "has an empty value"),
        ("output_dir=a,b", "--output_dir is of the whole sweep"),
        ("cell=0,1", "--cell is of the whole sweep"),
        ("preset=digits_dem", "did you mean --preset=digits_demo or"),
        ("verbosity=0,1", "there is no flag --verbosity"),
    ],
)
def test_wrong_line_is_an_error(line, words):
    with pytest.raises(flags.Error) as raised:
        parse(f"--grid={line}")
    assert str(raised.value).startswith(f"flag --grid={line}: ")
    assert words in str(raised.value)


def test_grid_is_required():
    with pytest.raises(flags.Error, match="flag --grid: is required"):
        parse("--density=0.1")
