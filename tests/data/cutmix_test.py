"""CutMix: what is pasted is a rectangle, and labels follow its area."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.errors import InputError

SEED = tf.constant([3, 4], tf.int64)
COUNT = 3000


@pytest.fixture(scope="module")
def mixed():
    """Images that hold their number, mixed: what of each was pasted."""
    numbers = np.arange(COUNT, dtype="float32")
    images = np.broadcast_to(numbers.reshape(-1, 1, 1, 1), (COUNT, 6, 8, 2))
    images, labels = data.cutmix(images, np.arange(COUNT, dtype="int32"), SEED)
    assert images.shape == (COUNT, 6, 8, 2) and images.dtype == tf.float32
    assert labels.shape == (COUNT,) and labels.dtype == tf.int32
    return images.numpy(), labels.numpy()


def test_a_rectangle_comes_from_the_image_before(mixed):
    images, labels = mixed
    numbers = np.arange(COUNT)
    before = np.roll(numbers, 1)
    np.testing.assert_array_equal(images[..., 0], images[..., 1])
    pasted = images[..., 0] == before.reshape(-1, 1, 1)
    own = images[..., 0] == numbers.reshape(-1, 1, 1)
    assert np.all(pasted ^ own)
    rows, columns = pasted.any(2), pasted.any(1)
    np.testing.assert_array_equal(
        pasted, rows[:, :, np.newaxis] & columns[:, np.newaxis, :]
    )
    for each in (rows, columns):
        # An interval begins once at most.
        begins = np.diff(each.astype(int), axis=1, prepend=0) == 1
        assert np.all(begins.sum(1) <= 1)
    assert np.all((labels == numbers) | (labels == before))


def test_label_is_the_other_one_with_the_share_of_the_area(mixed):
    images, labels = mixed
    before = np.roll(np.arange(COUNT), 1)
    share = np.mean(images[..., 0] == before.reshape(-1, 1, 1), axis=(1, 2))
    other = labels == before
    assert not np.any(other[share == 0]) and np.all(other[share == 1])
    # In each quarter of the shares, within five standard deviations.
    for low in (0.0, 0.25, 0.5):
        some = (share > low) & (share <= low + 0.25)
        spread = 5 * np.sqrt(np.sum(share[some] * (1 - share[some])))
        assert some.sum() > 100
        assert abs(other[some].sum() - share[some].sum()) < spread


def test_only_so_many_images_are_mixed():
    numbers = np.arange(COUNT)
    images = np.broadcast_to(
        numbers.reshape(-1, 1, 1, 1), (COUNT, 32, 32, 1)
    ).astype("float32")

    def touched(probability):
        found, _ = data.cutmix(images, numbers, SEED, probability=probability)
        return np.any(found.numpy() != images, axis=(1, 2, 3)).mean()

    assert touched(0.0) == 0.0
    # A rectangle may be too small to hold the middle of a pixel.
    assert touched(1.0) > 0.95
    assert touched(0.25) == pytest.approx(0.25, abs=0.05)


IMAGES = np.random.default_rng(0).random((20, 4, 4, 1), np.float32)
LABELS = np.arange(20) % 10


def pipeline(**settings):
    settings = {"batch_size": 8, "seed": 5, "cutmix": 1.0} | settings
    return data.from_arrays(IMAGES, LABELS, **settings)


def assert_equal(one, other):
    for first, second in zip(one, other, strict=True):
        for each, its in zip(first, second, strict=True):
            np.testing.assert_array_equal(each, its)


def test_epoch_is_mixed_alike_from_wherever_it_is_reached():
    mixing, plain = pipeline(), pipeline(cutmix=0.0)
    whole = list(mixing.dataset(num_epochs=3))
    tf.random.set_seed(8)
    rest = mixing.dataset(2)
    assert_equal(whole[6:], rest)
    unmixed = plain.dataset(num_epochs=3)
    assert rest.element_spec == unmixed.element_spec
    pasted = []
    for (images, labels), (own, classes) in zip(whole, unmixed, strict=True):
        pasted.append((images != own).numpy().tobytes())
        # From the same batch.
        assert np.isin(images, own).all() and np.isin(labels, classes).all()
    assert any(pasted[0]) and len(set(pasted)) == 9


def test_what_is_pasted_follows_from_the_seed():
    images = np.arange(8, dtype="float32").reshape(-1, 1, 1, 1)
    images = np.broadcast_to(images, (8, 6, 6, 1))
    one, again, other = (
        data.cutmix(images, np.arange(8), [seed, 0])[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)


def test_images_are_mixed_after_their_augmentation():
    class Bright(data.Augmentation):
        def draw(self, num_examples, seed):
            return tf.zeros((num_examples, 1))

        def apply(self, images, numbers):
            return tf.ones_like(images)

    for images, _ in pipeline(augment=Bright()):
        np.testing.assert_array_equal(images, np.ones(images.shape))


def test_what_is_held_out_is_not_mixed():
    train, validation = data.split_validation(pipeline(), 0.25)
    assert (train.cutmix, validation.cutmix) == (1.0, 0.0)
    held_out = next(iter(validation))
    assert_equal([held_out], [validation.arrays()])
    assert_equal([pipeline().arrays()], [(IMAGES, LABELS)])


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"cutmix": 1.5}, r"`cutmix` must be .*\[0, 1\]"),
        ({"training": False}, "`cutmix` must be 0 unless .* for training"),
        ({"batch_size": 1}, "`batch_size` must be 2 or more"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(InputError, match=words):
        pipeline(**settings)
