"""The flags of pruning together: what implies what, what excludes what."""

import re

import pytest
from absl import flags

from flags import pruning_flags
from hydra_tf.errors import InputError
from hydra_tf.registry.methods import METHODS
from tests.flags import command_line
from trainers.run.flagfile import as_flagfile
from trainers.terminal.messages import in_flags


def parse(*arguments):
    """Returns the pruning settings that a command line stands for."""
    return command_line.parse(*arguments).pruning


def test_harp_is_hydra_with_a_learned_allocation():
    assert parse("--method=harp") == parse(
        "--method=hydra", "--allocation=learned"
    )
    assert parse("--allocation=learned").method == "harp"
    assert parse("--method=harp").learns_densities
    assert parse().allocation == "uniform"
    assert not parse("--allocation=erk").learns_densities


@pytest.mark.parametrize(
    "granularity, resource, density",
    [
        ("weight", "weights", 0.1),
        ("channel", "flops", 0.1),
        ("filter", "flops", 0.1),
        ("2:4", "flops", 0.5),
        ("3:8", "flops", 0.375),
    ],
)
def test_granularity_implies_density_and_resource(
    granularity, resource, density
):
    parsed = parse(f"--granularity={granularity}")
    assert parsed.granularity == granularity
    assert parsed.density == density
    assert parsed.resource == resource
    # Said again, it is no contradiction.
    again = parse(f"--granularity={granularity}", f"--density={density}")
    assert again == parsed


def test_resource_can_be_chosen():
    parsed = parse("--granularity=channel", "--compression_resource=weights")
    assert parsed.resource == "weights"


MISTAKES = {
    "fixed_allocation_of_harp": (
        "--method=harp --allocation=erk",
        "--allocation=erk: .*--rates=erk.*--method=hydra",
    ),
    "learned_without_scores": (
        "--method=lwm --allocation=learned",
        "--allocation=learned: lwm trains no scores.*--method=harp",
    ),
    "rates_that_nothing_learns": (
        "--method=hydra --rates=erk",
        "--rates=erk: needs learned densities; pass --method=harp",
    ),
    "learn_that_nothing_learns": (
        "--method=snip --learn=rates",
        "--learn=rates: needs learned densities; pass --method=harp",
    ),
    "rates_above_1": (
        "--method=harp --rates=1.5",
        r"--rates=1.5: must be one of .uniform., .* a density in \(0, 1\]",
    ),
    "misspelt_rates": ("--method=harp --rates=erq", "--rates=erq.*'erk'"),
    "no_gamma": (
        "--method=harp --compression_gamma=0",
        "--compression_gamma=0: must be a number > 0",
    ),
    "misspelt_granularity": (
        "--granularity=chanel",
        "--granularity=chanel: .*Did you mean 'channel'",
    ),
    "more_than_there_are": ("--granularity=4:2", "4:2: .*with 0 < N < M"),
    "all_that_there_are": ("--granularity=4:4", "4:4: .*with 0 < N < M"),
    "none_of_them": ("--granularity=0:4", "0:4: .*with 0 < N < M"),
    "density_of_n_of_m": (
        "--granularity=2:4 --density=0.1",
        "--density=0.1: --granularity=2:4 keeps 2 of 4.*--density=0.5",
    ),
    "allocation_of_n_of_m": (
        "--granularity=2:4 --allocation=erk",
        "--allocation=erk: --granularity=2:4 keeps 2 of 4",
    ),
    "harp_of_n_of_m": (
        "--granularity=2:4 --method=harp",
        "--method=harp: --granularity=2:4 .*no density to learn",
    ),
    "harp_compared_of_n_of_m": (
        "--granularity=2:4 --compare=lwm,harp",
        "--compare=harp: .*--granularity=2:4",
    ),
    "rounds_of_n_of_m": (
        "--granularity=2:4 --compare=lwm_multistep",
        "--granularity=2:4: .*no rounds",
    ),
    "snip_of_rounds": (
        "--method=hydra --multistep --scores_init=snip",
        "--scores_init=snip: hydra with --multistep",
    ),
    "rates_of_rounds": (
        "--method=harp --multistep --rates=0.3",
        "--rates=0.3: .*--multistep.*name a rule",
    ),
    "file_of_rounds": (
        "--multistep --allocation=x.json",
        "--allocation=x.json: .*--multistep falls",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_contradiction_is_refused(case):
    command, message = MISTAKES[case]
    with pytest.raises((flags.Error, InputError)) as raised:
        parse(*command.split())
    assert re.search(message, in_flags(str(raised.value)))


def test_rates_may_serve_a_method_compared_with():
    parsed = parse("--method=hydra", "--compare=harp", "--rates=erk")
    assert not parsed.learns_densities
    assert parsed.with_method("harp").learns_densities
    assert parsed.with_method("harp").rates == "erk"


def test_methods_compared_with_harp_have_densities_of_their_own():
    parsed = parse("--method=harp", "--compare=lwm,hydra", "--rates=0.3")
    for name in ("lwm", "hydra"):
        other = parsed.with_method(name)
        assert (other.method, other.allocation) == (name, "uniform")
        assert other.density == parsed.density
    kept = parse("--method=hydra", "--allocation=erk").with_method("lwm")
    assert kept.allocation == "erk"


@pytest.mark.parametrize("method", METHODS.names)
@pytest.mark.parametrize("main", ["harp --rates=0.3 --learn=rates", "lwm"])
def test_flags_of_a_method_compared_with_stand_for_it(main, method):
    other = parse(*f"--method={main}".split()).with_method(method)
    text = as_flagfile("command", **pruning_flags.as_flags(vars(other)))
    words = [line for line in text.split("\n") if line.startswith("--")]
    assert parse(*words) == other


@pytest.mark.parametrize(
    "rates, value", [("0.25", 0.25), ("1/8", 0.125), ("erk", "erk")]
)
def test_rates_are_a_number_or_a_name(rates, value):
    assert parse("--method=harp", f"--rates={rates}").rates == value


def test_steps_go_with_every_method():
    for method in ("hydra", "harp", "random", "snip", "lwm"):
        parsed = parse(f"--method={method}", "--multistep")
        assert parsed.multistep and parsed.trains
        assert "rounds" in parsed.in_use()
    assert parse("--method=lwm_multistep").multistep
    assert not parse("--method=lwm").multistep
    assert "rounds" not in parse("--method=lwm").in_use()
    assert "round_epochs" in parse("--method=harp", "--multistep").in_use()
    assert "round_epochs" not in parse("--method=lwm", "--multistep").in_use()


def test_steps_that_a_method_implies_are_its_own():
    parsed = parse("--method=lwm_multistep", "--compare=lwm")
    assert not parsed.with_method("lwm").multistep
    assert parse("--multistep").with_method("lwm").multistep
    assert parse().with_method("lwm_multistep").multistep


@pytest.mark.parametrize(
    "method, scores",
    [("hydra", "scaled"), ("random", "random"), ("snip", "snip")],
)
def test_method_implies_its_scores(method, scores):
    assert parse(f"--method={method}").scores == scores
    kept = parse(f"--method={method}", "--scores_init=xavier_normal")
    assert kept.scores == "xavier_normal"
    assert kept.with_method("random").scores == "random"


def test_only_trained_methods_train():
    trained = {
        name for name in METHODS.names if parse(f"--method={name}").trains
    }
    assert {"hydra", "harp", "s2ap", "lwm_multistep", "feedback"} <= trained
    assert not {"lwm", "random", "snip"} & trained
    assert parse("--method=random", "--multistep").trains


def test_excluded_layers_are_names_separated_by_commas():
    assert parse("--exclude=stem,head").exclude == ("stem", "head")
    assert parse().exclude == ()
