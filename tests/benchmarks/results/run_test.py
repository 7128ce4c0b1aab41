"""A study's flags: mistakes are answered before anything is trained."""

import pytest

from benchmarks.results import methods
from benchmarks.results import run
from benchmarks.results.studies import STUDIES
from hydra_tf.errors import InputError


@pytest.fixture(autouse=True)
def flags_are_given():
    """Parses flags, which are forgotten at the end."""

    def give(*given):
        run._FLAGS(["run", *given])

    give()
    yield give
    for name in run._FLAGS:
        run._FLAGS[name].unparse()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--methods=hidra", ["--methods=hidra", "hydra, harp"]),
        ("--densities=5%", ["--densities", "5%"]),
        ("--densities=0", ["--densities", "(0, 1]"]),
        ("--epochs=40,60", ["--epochs", "three"]),
        ("--seeds=one", ["--seeds", "one"]),
        ("--objective=natural", ["--objective=natural", "madry"]),
        ("--network=cifar_model", ["--network=cifar_model", "digits_model"]),
    ],
)
def test_wrong_flags_say_what_is_right(given, words, flags_are_given):
    flags_are_given(given)
    with pytest.raises(InputError) as caught:
        run._plan("selection")
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_purpose_has_to_be_given():
    with pytest.raises(InputError, match="--select"):
        run._purposes()


def test_all_methods_that_are_there_are_run():
    plan = run._plan("final")
    known = methods.of_study(STUDIES["digits"]).values()
    assert plan.methods == [method for method in known if method.is_there]
    assert {"lwm", "hydra", "harp", "tfmot"} < {m.name for m in plan.methods}
