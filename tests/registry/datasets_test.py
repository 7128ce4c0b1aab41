"""What is fixed about the datasets by name."""

import pytest

from hydra_tf.data.augmentation import CropFlip
from hydra_tf.data.crops import RandomResizedCrop
from hydra_tf.registry.datasets import DATASETS


@pytest.mark.parametrize(
    "name", ["mnist", "cifar10", "cifar100", "svhn_cropped"]
)
def test_facts_equal_those_of_tfds(name):
    import tensorflow_datasets as tfds

    features = tfds.builder_cls(name)(data_dir="unused").info.features
    info = DATASETS.entry(name)
    assert features["image"].shape == info.image_shape
    assert features["label"].num_classes == info.num_classes


def test_facts_of_imagenet_equal_those_of_tfds():
    import tensorflow_datasets as tfds

    features = tfds.builder_cls("imagenet2012")(data_dir="unused").info.features
    info = DATASETS.entry("imagenet2012")
    # Of any size there, of one size here.
    assert features["image"].shape == (None, None, 3)
    assert info.image_shape == (224, 224, 3)
    assert features["label"].num_classes == info.num_classes
    assert (info.num_train, info.num_test) == (1281167, 50000)
    assert info.test_split == "validation"


@pytest.mark.parametrize("name", DATASETS.names)
def test_only_colour_images_are_augmented(name):
    info = DATASETS.entry(name)
    if info.streamed:
        assert isinstance(info.augmentation, RandomResizedCrop)
        assert info.augmentation.area == (0.08, 1.0)
        assert info.augmentation.aspect_ratio == (3 / 4, 4 / 3)
        assert info.augmentation.flip
    elif info.image_shape[-1] == 3:
        assert isinstance(info.augmentation, CropFlip)
        assert info.augmentation.padding == 4
        assert info.augmentation.flip
    else:
        assert info.augmentation is None
