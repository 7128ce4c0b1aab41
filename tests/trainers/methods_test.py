"""Where learned densities start, and what is found before any training."""

import json

import keras
import pytest
from absl import flags
from absl.testing import flagsaver

import hydra_tf as ht
from hydra_tf.errors import InputError
from trainers import methods
from trainers.training import settings


def pruning(*arguments):
    """Returns the pruning settings that a command line stands for."""
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        return settings.from_flags().pruning


def network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(8, 3, name="first"),
            keras.layers.Conv2D(8, 3, name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="last"),
        ]
    )


def starts(*arguments):
    """Returns the densities from which layers learn, by name."""
    chosen = pruning("--method=harp", *arguments)
    masked = methods.masked_twin(network(), chosen)
    methods.learn_densities(masked, chosen)
    return {
        name: pytest.approx(float(layer.live_density), abs=1e-5)
        for name, layer in ht.masked_layers(masked).items()
        if layer.prunable
    }


ALL = ("first", "second", "last")


@pytest.mark.parametrize(
    "arguments, density",
    [
        ([], 0.1),
        (["--density=0.01"], 0.1),
        (["--density=0.3"], 0.3),
        (["--rates=0.25"], 0.25),
        (["--rates=uniform"], 0.1),
        # What is not learned has to be at the target.
        (["--density=0.05", "--learn=scores"], 0.05),
        (["--density=0.05", "--learn=scores", "--rates=0.2"], 0.2),
    ],
)
def test_densities_start_alike_unless_told(arguments, density):
    assert starts(*arguments) == dict.fromkeys(ALL, density)


def test_densities_start_from_a_rule():
    masked = ht.to_masked(network())
    expected = ht.allocation.erk(masked, 0.1)
    assert starts("--rates=erk") == expected
    assert len(set(expected.values())) == 3


def test_densities_start_from_a_file(tmp_path):
    path = tmp_path / "rates.json"
    given = {"first": 0.9, "second": 0.2, "last": 0.5}
    path.write_text(json.dumps(given))
    assert starts(f"--rates={path}") == given
    assert starts(f"--rates={path}", "--learn=scores") == given


def test_densities_below_the_least_or_of_1_are_clipped(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"first": 1.0, "second": 0.001, "last": 0.5}))
    found = starts(f"--rates={path}", "--density=0.1")
    # A thousandth of the range [0.01, 1] from its ends.
    assert found["first"] == 1 - 0.00099
    assert found["second"] == 0.01 + 0.00099


@pytest.mark.parametrize(
    "content, words",
    [
        ({"other": 0.5}, "'other'"),
        ({"first": 0.5, "second": 0.5}, "'last'"),
        ({"first": 0.5, "second": 0.5, "last": 1.5}, r"1\.5"),
        ([0.5, 0.5, 0.5], "must hold an object"),
    ],
)
def test_rates_of_another_network_are_refused(content, words, tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"--rates=.*rates.json.*{words}"):
        methods.check(network(), pruning("--method=harp", f"--rates={path}"))


def test_channels_that_are_not_enough_are_found_before_training():
    chosen = pruning("--granularity=channel", "--density=0.1")
    with pytest.raises(InputError, match="would remove a whole.*'second'"):
        methods.check(network(), chosen)
    methods.check(network(), pruning("--granularity=channel", "--density=0.5"))


@pytest.mark.parametrize(
    "granularity, resource", [("weight", "weights"), ("channel", "flops")]
)
def test_learned_targets_out_of_reach_are_found_before_training(
    granularity, resource
):
    chosen = pruning(
        "--method=harp",
        f"--granularity={granularity}",
        "--density=0.001",
        "--rates=0.5",
    )
    with pytest.raises(
        InputError,
        match=f"(?i)^--density=0.001 is too small: .* leaves .* {resource},",
    ):
        methods.check(network(), chosen)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--exclude=frist"], "^--exclude names 'frist'"),
        (
            ["--granularity=2:5", "--exclude=first"],
            r"^--granularity=2:5 .*--exclude=first,second$",
        ),
        (["--granularity=channel", "--density=0.1"], "^--density=0.1 would"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command_line(arguments, words):
    with pytest.raises(InputError, match=words):
        methods.check(network(), pruning(*arguments))


def test_masks_of_another_granularity_are_made_anew():
    masked = ht.to_masked(network(), density=0.5)
    twin = methods.masked_twin(masked, pruning("--granularity=channel"))
    assert twin.get_layer("second").granularity == "channel"
    kernel = twin.get_layer("second").kernel.numpy()
    assert (kernel == 0).sum() == kernel.size // 2
