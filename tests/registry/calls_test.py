"""Arguments that there are not."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry.calls import check_construction
from hydra_tf.registry.calls import checked_call


@checked_call
def attack(model, x, *, epsilon, num_steps=1):
    """Documentation."""
    return model, x, epsilon, num_steps


def test_a_function_stays_what_it_is():
    assert attack(1, 2, epsilon=3) == (1, 2, 3, 1)
    assert (attack.__name__, attack.__doc__) == ("attack", "Documentation.")


def test_a_type_error_from_within_stays_one():
    @checked_call
    def fails():
        raise TypeError("a defect")

    with pytest.raises(TypeError, match="a defect"):
        fails()


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, 2), {"eps": 3}, r"attack\(\) .* `eps`. Did you mean 'epsilon'"),
        ((1, 2), {}, r"attack\(\): missing .*'epsilon'"),
        ((1, 2, 3), {}, r"positional.* Name each: .*epsilon=\.\.\."),
    ],
)
def test_wrong_calls_are_named(args, kwargs, words):
    with pytest.raises(InputError, match=words):
        attack(*args, **kwargs)


class Parent:
    def __new__(cls, *args, **settings):
        check_construction(cls, args, settings)
        return super().__new__(cls)

    def __init__(self, *, rate=1.0):
        self.rate = rate


class Child(Parent):
    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps


class Without:
    def __new__(cls, *args, **settings):
        check_construction(cls, args, settings)
        return super().__new__(cls)


def test_what_may_be_for_a_parent_passes():
    child = Child(3, rate=0.5)
    assert (child.steps, child.rate) == (3, 0.5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Parent(raet=1), "Parent has no .* `raet`. .* 'rate'"),
        (lambda: Parent(1), "Parent: too many positional.*rate="),
        (lambda: Without(rate=1), "Without has no .* `rate`. It has none"),
        (lambda: Without(1), "Without"),
    ],
)
def test_wrong_constructions_are_named(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_missing_arguments_are_left_to_python():
    with pytest.raises(TypeError, match="'steps'"):
        Child()
