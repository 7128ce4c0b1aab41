"""Cells: their order, their names, their flags."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import preset_flags
from flags import sweep_flags
from hydra_tf.errors import InputError
from trainers.sweeping import grid
from trainers.training import settings


def cells(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", *preset_flags.expand(arguments)])
        return grid.cells(sweep_flags.sweep_from_flags().axes)


def test_last_line_varies_fastest_and_names_say_the_values():
    found = cells("--grid=method=lwm,hydra", "--grid=seed=0,1", "--seed=5")
    assert [cell.number for cell in found] == [0, 1, 2, 3]
    assert [cell.name for cell in found] == [
        "method=lwm+seed=0",
        "method=lwm+seed=1",
        "method=hydra+seed=0",
        "method=hydra+seed=1",
    ]
    assert found[2].values == {"method": "hydra", "seed": "0"}
    assert str(found[2]) == "cell 2 (method=hydra+seed=0)"


def test_flags_of_a_cell_are_those_given_with_the_grid_s_on_top():
    (cell,) = cells(
        "--grid=density=0.1",
        "--grid=multistep=true",
        "--density=0.5",
        "--noaugment",
        "--epsilon=8/255",
        "--eval_attacks=pgd,fgsm",
        "--image_size=48x64",
        "--output_dir=x",
        "--overwrite",
    )
    assert cell.flags == {
        "density": "0.1",
        "multistep": "true",
        "augment": "false",
        "epsilon": str(8 / 255),
        "eval_attacks": "pgd,fgsm",
        "image_size": "48,64",
    }
    with flagsaver.flagsaver():
        grid.parse([*cell.words, "--output_dir=x"])
        parsed = settings.from_flags()
        assert grid.given() == cell.flags
    assert parsed.pruning.density == 0.1 and parsed.pruning.multistep
    assert parsed.evaluation.attacks == ("pgd", "fgsm")
    assert not parsed.data.augment and not parsed.run.overwrite


def test_flags_given_beside_the_grid_win_over_its_recipes():
    first, second = cells(
        "--grid=preset=digits_demo,hydra/cifar10_vgg16_bn_trades",
        "--grid=seed=3",
        "--prune_epochs=1",
    )
    assert second.name == "preset=hydra_cifar10_vgg16_bn_trades+seed=3"
    assert first.flags["dataset"] == "digits"
    assert second.flags["model"] == "vgg16_bn"
    for cell in (first, second):
        assert (cell.flags["prune_epochs"], cell.flags["seed"]) == ("1", "3")


def test_names_are_short_and_differ():
    found = cells("--grid=exclude=a/b;a:b;" + ",".join(["stem"] * 80))
    names = [cell.name for cell in found]
    assert len({*names}) == 3
    for name in names:
        assert len(name) < 140
        assert grid.safe(name.replace("+", "")) == name.replace("+", "")
    assert names[0].startswith("exclude=a_b+")


@pytest.mark.parametrize(
    "lines, words",
    [
        (
            ["--grid=density=0.1,1/10", "--grid=seed=4"],
            ["cell 0 (density=0.1+seed=4)", "1 (density=1_10+seed=4)", "same"],
        ),
        (
            ["--grid=eval_attacks=pgd;pdg"],
            ["cell 1 (eval_attacks=pdg): flag --eval_attacks=", "'pdg'"],
        ),
    ],
)
def test_wrong_cell_is_named(lines, words):
    with pytest.raises(InputError) as raised:
        cells(*lines)
    assert all(word in str(raised.value) for word in words), raised.value
