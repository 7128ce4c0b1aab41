"""Modules of the originals, written out where they are not by position."""

import pytest

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.models import small
from hydra_tf.models import wide_resnet
from hydra_tf.torch_checkpoints import layouts


@pytest.mark.parametrize(
    ("name", "network", "expected"),
    [
        (
            "cifar_model_large",
            lambda: models.cifar_model_large((8, 8, 3), 2),
            {
                "conv1": "0",
                "conv2": "2",
                "conv3": "4",
                "conv4": "6",
                "dense1": "9",
                "dense2": "11",
                "logits": "13",
            },
        ),
        (
            "cifar_model_resnet",
            lambda: small.residual_convnet((4, 4, 3), 2, name="x", num_units=1),
            {
                "conv1": "0",
                "block1_unit1_conv1": "2.Ws.0",
                "block1_unit1_shortcut": "4.Ws.0",
                "block1_unit1_conv2": "4.Ws.2",
                "block2_unit1_conv1": "10.Ws.0",
                "block3_unit1_conv2": "16.Ws.2",
                "dense1": "19",
                "logits": "21",
            },
        ),
        (
            "vgg4_bn",
            lambda: models.vgg4_bn((8, 8, 3), 2),
            {
                "block1_conv1": "features.0",
                "block1_conv1_bn": "features.1",
                "block2_conv1": "features.7",
                "block2_conv2_bn": "features.11",
                "dense1": "classifier.0",
                "logits": "classifier.4",
            },
        ),
        (
            "wrn_28_4",
            lambda: wide_resnet.wide_resnet(
                (8, 8, 3), 2, name="x", depth=16, width_factor=2
            ),
            {
                "conv1": "conv1",
                "block2_unit1_bn1": "block2.layer.0.bn1",
                "block2_unit1_shortcut": "block2.layer.0.convShortcut",
                "block3_unit2_conv2": "block3.layer.1.conv2",
                "bn": "bn1",
                "logits": "fc",
            },
        ),
    ],
)
def test_modules(name, network, expected):
    network = network()
    names = layouts.module_names(name, network)
    assert set(names) == {each.name for each in network.layers if each.weights}
    assert len(set(names.values())) == len(names)
    assert expected.items() <= names.items()


@pytest.mark.parametrize(
    ("name", "shortcut", "logits"),
    [
        ("resnet18", "layer2.0.shortcut.0", "linear"),
        ("resnet50_imagenet", "layer2.0.downsample.0", "fc"),
    ],
)
@pytest.mark.slow
def test_residual_networks(name, shortcut, logits):
    network = models.create(name, (32, 32, 3), 2)
    names = layouts.module_names(name, network)
    assert set(names) == {each.name for each in network.layers if each.weights}
    assert names["conv1_bn"] == "bn1"
    assert names["block4_unit2_conv2_bn"] == "layer4.1.bn2"
    assert names["block2_unit1_shortcut"] == shortcut
    assert names["block2_unit1_shortcut_bn"] == f"{shortcut[:-1]}1"
    assert names["logits"] == logits


def test_other_networks_are_unknown():
    layouts.check_known("vgg16_bn")
    with pytest.raises(InputError, match="Did you mean 'vgg16_bn'"):
        layouts.check_known("vgg16bn")
