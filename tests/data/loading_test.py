"""Pipelines from arrays, and arguments that cannot be used."""

import numpy as np
import pytest

from hydra_tf import data
from hydra_tf.errors import InputError


def test_float_images_arrive_as_they_are():
    images = np.random.RandomState(0).uniform(size=(5, 3, 3, 1))
    pipe = data.from_arrays(images, [0, 1, 0, 1, 0], batch_size=5)
    assert pipe.num_classes == 2
    assert pipe.class_names == ("0", "1")
    np.testing.assert_array_equal(pipe.arrays()[0], images.astype(np.float32))


_IMAGES = np.full((4, 3, 3, 1), 0.5)
_LABELS = np.array([0, 1, 2, 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": _IMAGES * 3}, r"`images` must lie in \[0, 1\].*to 1.5"),
        ({"images": -_IMAGES}, r"`images` must lie in \[0, 1\]"),
        ({"images": _IMAGES * np.nan}, r"`images` must lie in \[0, 1\].*nan"),
        ({"images": _IMAGES.astype(int)}, "`images` must be floats"),
        ({"images": _IMAGES[0]}, "`images` must have the shape"),
        ({"images": _IMAGES[:0]}, "`images` must have the shape"),
        ({"images": _IMAGES[:3]}, r"`labels` must hold one .* \(3,\)"),
        ({"labels": np.eye(4)}, "`labels` must hold one integer per image"),
        ({"labels": _LABELS * 1.0}, "`labels` must hold .* integers"),
        ({"labels": _LABELS - 1}, "`labels` must hold classes of at least 0"),
        ({"num_classes": 2}, "as `num_classes` is 2. Received: 2"),
        ({"class_names": ["a", "b", "c"], "num_classes": 4}, "`class_names`"),
        (
            {"batch_size": 0},
            "`batch_size` must be a whole number >= 1.*batch_size=0",
        ),
        ({"fraction": 0.0}, r"`fraction` must be .* \(0, 1\].*fraction=0.0"),
        ({"fraction": 1.5}, r"`fraction` must be .* \(0, 1\]"),
        ({"fraction": float("nan")}, r"`fraction` must be .* \(0, 1\]"),
        ({"seed": -1}, "`seed` must be a whole number >= 0"),
        ({"augment": True}, "`augment` cannot be True"),
        (
            {"drop_remainder": True, "batch_size": 5},
            "`batch_size` must be at most 4",
        ),
    ],
)
def test_unusable_arguments_get_one_line_that_names_them(change, words):
    arguments = {
        "images": _IMAGES,
        "labels": _LABELS,
        "batch_size": 2,
        **change,
    }
    with pytest.raises(InputError, match=words) as caught:
        data.from_arrays(**arguments)
    assert "\n" not in str(caught.value)


def test_unknown_dataset_is_an_error_before_anything_is_read():
    with pytest.raises(InputError, match="Did you mean 'digits'"):
        data.load("digit", "train", batch_size=8)


def test_fraction_of_arrays_is_the_same_for_every_run():
    images = np.arange(40, dtype=np.uint8)[:, None, None, None]
    first, again = (
        data.from_arrays(
            images, np.arange(40) % 4, batch_size=5, fraction=0.2, seed=3
        )
        for _ in range(2)
    )
    assert first.num_examples == 8
    np.testing.assert_array_equal(first.arrays()[0], again.arrays()[0])
    np.testing.assert_array_equal(np.bincount(first.arrays()[1]), [2] * 4)


def test_class_names_set_the_number_of_classes():
    pipe = data.from_arrays(
        _IMAGES, _LABELS, batch_size=2, class_names=["a", "b", "c", "d"]
    )
    assert pipe.num_classes == 4
    assert pipe.class_names == ("a", "b", "c", "d")
