"""Flags of the network."""

import pytest
from absl import flags

from tests.flags.command_line import parse


def test_network_and_precision_arrive():
    model = parse("--model=vgg16_bn", "--precision=mixed_bfloat16").model
    assert (model.model, model.source) == ("vgg16_bn", None)
    assert model.precision == "mixed_bfloat16"
    assert parse("--model=my_nets:make").model.model == "my_nets:make"


def test_misspelt_network_is_refused_at_once():
    with pytest.raises(flags.Error, match="Did you mean 'vgg16_bn'"):
        parse("--model=vgg16bn")


def test_several_sources_are_kept_and_the_last_one_counts():
    model = parse("--source=a,b", "--source=c").model
    assert (model.sources, model.source) == (("a,b", "c"), "c")
    assert parse().model.sources == ()
