"""The flags of the certification, beside those of training."""

import pytest
from absl import flags

from flags import certify_flags
from hydra_tf.registry.methods import METHODS


def parse(*arguments):
    """Returns the settings that a command line stands for."""
    for name in certify_flags.FLAGS:
        certify_flags.FLAGS[name].unparse()
    command = ["certify", "--source=a.keras", "--output_dir=x", *arguments]
    assert certify_flags.FLAGS(command) == ["certify"]
    return certify_flags.certify_from_flags().certification


def test_method_is_another_flag_than_that_of_pruning():
    assert parse("--method=symbolic").method == "symbolic"
    assert "symbolic" not in METHODS
    assert "hydra" in flags.FLAGS["method"].help


def test_epsilons_are_ratios_in_rising_order():
    parsed = parse("--epsilons=2/255,1/255,0")
    assert parsed.certified_radii == (0, 1 / 255, 2 / 255)
    assert parsed.threat_model == "linf"
    assert parse().certified_radii[0] == 1 / 255


def test_smoothing_has_radii_of_its_own():
    parsed = parse("--method=smoothing", "--radii=0.5,0.25")
    assert parsed.certified_radii == (0.25, 0.5)
    assert parsed.threat_model == "l2"
    assert (parsed.n0, parsed.n, parsed.alpha) == (100, 10_000, 0.001)
    assert parsed.sigma == 0.25


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--radii=0.5"], "--radii: is of smoothing"),
        (["--method=smoothing", "--epsilons=0.1"], "--epsilons: is of bounds"),
        (["--sigma=0.5"], "--sigma: is of smoothing"),
        (["--n=9", "--method=ibp"], "--n: .*--method=ibp does not read"),
        (
            ["--method=smoothing", "--dtype=float64"],
            "--dtype: is of bounds",
        ),
        (["--source="], "--source: is required"),
        (["--output_dir="], "--output_dir: is required"),
    ],
    ids=["radii", "epsilons", "sigma", "n", "dtype", "source", "output_dir"],
)
def test_flag_of_the_other_method_or_missing_is_named(arguments, words):
    with pytest.raises(flags.ValidationError, match=words):
        parse(*arguments)


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--sigma=0", r"> 0 \(Standard deviation of smoothing's noise"),
        ("--sigma=-1", "> 0"),
        ("--alpha=0", r"in \(0, 1\)"),
        ("--alpha=1", r"in \(0, 1\)"),
        ("--n=0", ">= 1"),
        ("--n0=0", ">= 1"),
        ("--epsilons=-1/255", r"in \[0, 1\] \(Linf radii"),
        ("--epsilons=2", r"in \[0, 1\]"),
        ("--epsilons=1,x", r"or a ratio such as 8/255 \(Linf"),
        ("--radii=-1", r">= 0 \(L2 radii"),
        ("--method=crown-ibp", "Did you mean 'crown_ibp'"),
        ("--dtype=float16", "one of 'float32', 'float64'"),
        ("--num_examples=0", ">= 1"),
    ],
)
def test_value_out_of_range_says_what_is_right(argument, words):
    with pytest.raises(flags.IllegalFlagValueError, match=words):
        parse(argument)
