"""The settings of pruning together: what implies what, what excludes what."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.pruning.settings import PruningSettings
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.methods import SETTINGS


def own_scores(network, groups, *, seed, data):
    """Scores of somebody's own."""


def own_trained(network, groups, *, seed, data):
    """The same, to be trained with densities."""


own_trained.learns_densities = True


def test_settings_are_those_of_the_table():
    made = PruningSettings()
    for setting in SETTINGS:
        default = getattr(PruningSettings, setting.name)
        assert default == setting.default
        value = getattr(made, setting.name)
        assert setting.check(value) == value
        assert setting.help


def test_harp_is_hydra_with_a_learned_allocation():
    harp = PruningSettings(method="harp")
    assert harp == PruningSettings(method="hydra", allocation="learned")
    assert harp.learns_densities and harp.trains_scores
    assert PruningSettings().allocation == "uniform"
    assert not PruningSettings(allocation="erk").learns_densities


@pytest.mark.parametrize(
    ("granularity", "resource", "density"),
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
    settings = PruningSettings(granularity=granularity)
    assert settings.density == density
    assert settings.resource == resource
    # Said again, it is no contradiction.
    assert settings == PruningSettings(granularity=granularity, density=density)


def test_a_rounded_density_of_n_of_m_is_the_exact_one():
    settings = PruningSettings(granularity="1:3", density=0.3333333)
    assert settings.density == 1 / 3


@pytest.mark.parametrize(
    ("method", "scores"), [("hydra", "scaled"), ("snip", "snip")]
)
def test_scores_are_those_of_the_method_unless_told(method, scores):
    assert PruningSettings(method=method).scores == scores
    told = PruningSettings(method=method, scores="xavier_normal")
    assert told.scores == "xavier_normal"


HARP = {"method": "harp"}
HARP_ROUNDS = {"method": "harp", "multistep": True}
MISTAKES = {
    "misspelt_method": ({"method": "hydr"}, "`method` .*Did you mean 'hydra'"),
    "density_of_zero": ({"density": 0}, r"`density` must be .* in \(0, 1\]"),
    "sparsity_in_percent": ({"density": 95}, "`density` must be"),
    "no_list": ({"exclude": 3}, "`exclude` must be a list of names"),
    "missing_module": (
        {"scores": "no_such_module:f"},
        "'no_such_module' cannot be imported",
    ),
    "fixed_allocation_of_harp": (
        {**HARP, "allocation": "erk"},
        "^`allocation='erk'`: .*`rates='erk'`.*`method='hydra'`",
    ),
    "learned_without_scores": (
        {"method": "lwm", "allocation": "learned"},
        "`allocation='learned'`: lwm trains no scores.*`method='harp'`",
    ),
    "rates_that_nothing_learns": (
        {"rates": "erk"},
        "`rates='erk'`: needs learned densities; pass `method='harp'`",
    ),
    "learn_that_nothing_learns": (
        {"method": "snip", "learn": "rates"},
        "`learn='rates'`: needs learned densities; pass `method='harp'`",
    ),
    "perturbed_scores_that_do_not_train": (
        {"method": "lwm", "score_perturbation": 0.01},
        "`score_perturbation=0.01`: lwm trains no scores; .*`method='hydra'`",
    ),
    "perturbed_scores_of_learned_densities_alone": (
        {**HARP, "learn": "rates", "score_perturbation": 0.01},
        "`score_perturbation=0.01`: `learn='rates'` trains no scores",
    ),
    "s2ap_without_perturbation": (
        {"method": "s2ap", "score_perturbation": 0},
        "`score_perturbation=0`: s2ap perturbs its scores; .*`method='hydra'`",
    ),
    "score_perturbation_of_1": (
        {"score_perturbation": 1},
        r"`score_perturbation` must be a number in \[0, 1\)",
    ),
    "rates_above_1": (
        {**HARP, "rates": 1.5},
        r"`rates` must be one of 'uniform', .* a density in \(0, 1\]",
    ),
    "misspelt_rates": ({**HARP, "rates": "erq"}, "`rates` .*'erk'"),
    "no_gamma": ({**HARP, "gamma_step": 0}, "`gamma_step` must be .* > 0"),
    "misspelt_granularity": (
        {"granularity": "chanel"},
        "`granularity` .*Did you mean 'channel'",
    ),
    "all_that_there_are": ({"granularity": "4:4"}, "N:M with 0 < N < M"),
    "density_of_n_of_m": (
        {"granularity": "2:4", "density": 0.1},
        "`density=0.1`: `granularity='2:4'` keeps 2 of 4.*`density=0.5`",
    ),
    "allocation_of_n_of_m": (
        {"granularity": "2:4", "allocation": "erk"},
        "`allocation='erk'`: `granularity='2:4'` keeps 2 of 4",
    ),
    "harp_of_n_of_m": (
        {**HARP, "granularity": "2:4"},
        "`method='harp'`: `granularity='2:4'` .*no density to learn",
    ),
    "harp_compared_of_n_of_m": (
        {"granularity": "2:4", "compare": ["lwm", "harp"]},
        "`compare='harp'`: .*`granularity='2:4'`",
    ),
    "rounds_of_n_of_m": (
        {"granularity": "2:4", "compare": ["lwm_multistep"]},
        "`granularity='2:4'`: .*no rounds",
    ),
    "snip_of_rounds": (
        {"multistep": True, "scores": "snip"},
        "`scores='snip'`: hydra with `multistep`",
    ),
    "rates_of_rounds": (
        {**HARP_ROUNDS, "rates": 0.3},
        "`rates=0.3`: .*`multistep`.*name a rule",
    ),
    "rates_of_each_layer_of_rounds": (
        {**HARP_ROUNDS, "rates": {"a": 0.3}},
        "`rates`: .*`multistep`.*name a rule",
    ),
    "file_of_rounds": (
        {"multistep": True, "allocation": "x.json"},
        "`allocation='x.json'`: .*`multistep` falls",
    ),
    "densities_of_rounds": (
        {"multistep": True, "allocation": {"a": 0.5}},
        "`allocation`: .*`multistep` falls",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_refused(case):
    arguments, message = MISTAKES[case]
    with pytest.raises(InputError, match=message):
        PruningSettings(**arguments)


def test_rates_may_serve_a_method_compared_with():
    settings = PruningSettings(compare=["harp"], rates="erk")
    assert not settings.learns_densities
    assert "rates" not in settings.in_use()
    harp = settings.with_method("harp")
    assert harp.learns_densities and harp.rates == "erk"


def test_methods_compared_with_harp_have_densities_of_their_own():
    harp = PruningSettings(
        method="harp", density=0.3, compare=["lwm", "hydra"], rates=0.3
    )
    for name in harp.compare:
        other = harp.with_method(name)
        assert (other.method, other.allocation) == (name, "uniform")
        assert other.density == 0.3
    assert PruningSettings(allocation="erk").with_method("lwm").allocation == (
        "erk"
    )


@pytest.mark.parametrize("method", METHODS.names)
@pytest.mark.parametrize(
    "main",
    [{"method": "harp", "rates": 0.3, "learn": "rates"}, {"method": "lwm"}],
)
def test_settings_in_use_make_the_same_method(main, method):
    other = PruningSettings(**main).with_method(method)
    assert PruningSettings(**other.in_use()) == other


def test_rounds_go_with_every_method():
    for method in ("hydra", "harp", "random", "snip", "lwm"):
        settings = PruningSettings(method=method, multistep=True)
        assert settings.trains and "rounds" in settings.in_use()
        assert ("round_epochs" in settings.in_use()) == settings.trains_scores
    lwm = PruningSettings(method="lwm")
    assert not lwm.trains and "rounds" not in lwm.in_use()


def test_rounds_that_a_method_implies_are_its_own():
    multistep = PruningSettings(method="lwm_multistep")
    assert multistep.multistep
    assert not multistep.with_method("lwm").multistep
    assert PruningSettings(multistep=True).with_method("lwm").multistep
    assert PruningSettings().with_method("lwm_multistep").multistep


class OwnCourse:
    """Stands for a course of somebody's own."""

    is_course = True
    reads = ("mask_updates", "density_ramp")
    defaults = {"allocation": "lamp", "density_ramp": 0.25}


def test_a_course_has_defaults_of_its_own():
    feedback = PruningSettings(method="feedback")
    assert feedback.trains and feedback.trains_kernels
    assert not feedback.trains_scores and not feedback.multistep
    assert feedback.allocation == "erk" and feedback.density_ramp == 0.5
    assert PruningSettings(method="gradual").allocation == "uniform"
    pattern = PruningSettings(method="feedback", granularity="2:4")
    assert pattern.allocation == "uniform" and pattern.density_ramp == 0
    # A default gives way to what was given.
    assert PruningSettings(method="live_paths").density_ramp == 0.7
    short = PruningSettings(method="live_paths", update_share=0.4)
    assert short.density_ramp == 0.4
    assert short.with_method("feedback").density_ramp == 0.4
    own = PruningSettings(method=f"{__name__}:OwnCourse")
    assert (own.allocation, own.density_ramp) == ("lamp", 0.25)
    assert own.trains_kernels and own.scores == "scaled"
    assert {"mask_updates", "density_ramp"} <= own.in_use().keys()
    assert not {"update_share", "scores"} & own.in_use().keys()


def test_methods_compared_with_a_course_read_what_they_know():
    feedback = PruningSettings(method="feedback", mask_updates=7)
    hydra = feedback.with_method("hydra")
    assert hydra == PruningSettings(method="hydra")
    assert "mask_updates" not in hydra.in_use()
    assert hydra.with_method("feedback").allocation == "erk"
    assert feedback.with_method("gradual").mask_updates == 7
    both = PruningSettings(method="hydra", compare=["feedback"], density_ramp=0)
    assert both.with_method("feedback").density_ramp == 0
    given = PruningSettings(method="feedback", allocation="lamp")
    assert given.with_method("hydra").allocation == "lamp"


def test_densities_may_be_given_for_each_layer(tmp_path):
    for given in ({"a": 0.5}, "a.json", tmp_path / "a.json"):
        assert not PruningSettings(allocation=given).density_is_target
    assert PruningSettings(allocation="erk").density_is_target


def test_own_methods_are_named_by_their_module():
    settings = PruningSettings(method=f"{__name__}:own_scores")
    assert settings.scores == settings.method
    assert not settings.trains and settings.allocation == "uniform"
    trained = PruningSettings(method=f"{__name__}:own_trained")
    assert trained.trains_scores and trained.learns_densities


def test_own_methods_may_get_a_name(monkeypatch):
    from hydra_tf.registry.scores import SCORES

    for registry in (METHODS, SCORES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    METHODS.register("own", help="by scores of one's own")(own_scores)
    assert PruningSettings(method="own").scores == "own"
    assert SCORES.load("own") is own_scores


def test_s2ap_is_hydra_with_perturbed_scores():
    s2ap = PruningSettings(method="s2ap")
    assert s2ap.trains_scores and s2ap.score_perturbation == 0.01
    hydra = s2ap.with_method("hydra")
    assert hydra == PruningSettings()
    assert hydra.with_method("s2ap") == s2ap
    assert "score_perturbation" not in s2ap.with_method("lwm").in_use()
    given = PruningSettings(method="harp", score_perturbation=0.05)
    for method, radius in (("hydra", 0.05), ("s2ap", 0.05), ("lwm", 0.0)):
        assert given.with_method(method).score_perturbation == radius
