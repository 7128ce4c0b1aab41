"""What is known about the datasets by name."""

import dataclasses

import pytest

from hydra_tf import data
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DATASETS


def test_names_are_those_that_users_were_promised():
    assert data.names() == (
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "svhn_cropped",
        "imagenet2012",
    )


def test_unknown_name_gets_the_close_ones():
    with pytest.raises(
        InputError, match="Did you mean 'cifar100?' or"
    ) as caught:
        data.info("cifar-10")
    assert "\n" not in str(caught.value)


def test_registered_dataset_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    # Under another name: with the builder of the digits.
    data.register(dataclasses.replace(data.info("digits"), name="my_digits"))
    assert data.names()[-1] == "my_digits"
    pipe = data.load("my_digits", "test", batch_size=9, data_dir=tmp_path)
    assert pipe.num_examples == data.info("my_digits").num_test
