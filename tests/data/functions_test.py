"""A function of one's own as a dataset."""

import numpy as np
import pytest

from hydra_tf import data
from hydra_tf.data import functions
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DATASETS
from tests.data import own_functions

_HERE = "tests.data.own_functions"


@pytest.mark.parametrize("name", ["both", "named", "datasets", "pipelines"])
def test_every_form_gives_the_same_batches(name):
    train = data.load(f"{_HERE}:{name}", "train", batch_size=8, seed=2)
    expected = data.from_arrays(*own_functions.arrays(), batch_size=8, seed=2)
    for one, other in zip(train, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    test = data.load(f"{_HERE}:{name}", "test", batch_size=99)
    assert not test.shuffle
    np.testing.assert_array_equal(test.arrays()[0], own_functions.arrays(9)[0])
    info = data.info(f"{_HERE}:{name}")
    assert (info.num_train, info.num_test, info.num_classes) == (24, 9, 3)
    assert info.image_shape == train.image_shape == (6, 5, 2)
    names = ("one", "two", "three") if name == "named" else ("0", "1", "2")
    assert info.class_names == train.class_names == names


def test_content_follows_the_images(monkeypatch):
    def content(part):
        function = lambda: (part, own_functions.arrays(9))  # noqa: E731
        return functions.FunctionSource("x", function).info.content

    images, labels = own_functions.arrays()
    first = content((images, labels))
    assert first == content((images.copy(), labels))
    images[-1, 0, 0, 0] += 0.01
    assert first != content((images, labels))


def test_own_augmentation_of_a_pipeline_stays():
    def function():
        augmented = data.from_arrays(
            *own_functions.arrays(), batch_size=3, augment=data.CropFlip(1)
        )
        return augmented, own_functions.arrays(9)

    source = functions.FunctionSource("x", function)
    assert isinstance(source.read("train").augmentation, data.CropFlip)


def test_registered_function_is_called_once(monkeypatch):
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    calls = []

    @data.register("shapes", help="Shapes.")
    def shapes():
        calls.append(1)
        return own_functions.both()

    assert data.names()[-1] == "shapes"
    train = data.load("shapes", "train", batch_size=4, fraction=0.5)
    assert np.bincount(train.arrays()[1]).tolist() == [4, 4, 4]
    assert data.info("shapes").num_test == 9
    assert len(calls) == 1


def test_fraction_of_pipelines_is_refused():
    with pytest.raises(InputError, match="`fraction` must be 1"):
        data.load(f"{_HERE}:pipelines", "train", batch_size=1, fraction=0.5)
