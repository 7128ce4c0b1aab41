"""What the originals call the modules that our layers stand for.

| networks           | modules                                                |
|--------------------|--------------------------------------------------------|
| small CNNs         | one `Sequential`: `0`, `2`, ... by position            |
| cifar_model_resnet | the same; `N.Ws.0` and `N.Ws.2` in the residual units  |
| VGG                | `features.N`, `classifier.N`, by position              |
| ResNet             | `layer1.0.conv1`, `.bn1`, `.shortcut.0`, `linear`      |
| ResNet of ImageNet | the same, but `.downsample.0` and `fc`                 |
| Wide ResNet        | `block1.layer.0.conv1`, `.bn1`, `.convShortcut`, `fc`  |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.models import MODELS
from hydra_tf.registry.table import Entry

# Layers that are no module of their own in PyTorch.
_WITHIN_OTHERS = (keras.layers.InputLayer, keras.layers.ZeroPadding2D)


def module_names(model: str, network: keras.Model) -> dict[str, str]:
    """Returns the original's module for each layer that has weights.

    Args:
        model: Name of the network in `hydra_tf.models`.
        network: What `hydra_tf.models.create` made of the name.

    Example:

    >>> from hydra_tf import models
    >>> module_names("mnist_model", models.mnist_model())
    {'conv1': '0', 'conv2': '2', 'dense1': '5', 'logits': '7'}
    """
    names = _FAMILIES[_family(MODELS.entry(model))](network)
    return {
        layer.name: names[layer.name]
        for layer in network.layers
        if layer.weights
    }


def check_known(model: str) -> None:
    """Raises `InputError` unless a name is of a network of the originals."""
    known = [entry.name for entry in MODELS if _family(entry) in _FAMILIES]
    if model not in known:
        raise InputError(
            f"`model` {model!r} is none of the networks whose checkpoints can "
            f"be read. {close_matches(model, known)}"
        )


def _family(entry: Entry) -> str:
    if entry.name in _FAMILIES:
        return entry.name
    return str(entry.target).partition(":")[0]


def _small(network: keras.Model) -> dict[str, str]:
    return _by_position(network.layers, "")


def _vgg(network: keras.Model) -> dict[str, str]:
    layers = list(network.layers)
    end = next(
        index
        for index, layer in enumerate(layers)
        if isinstance(layer, keras.layers.Flatten)
    )
    return _by_position(layers[:end], "features.") | _by_position(
        layers[end + 1 :], "classifier."
    )


def _by_position(
    layers: Sequence[keras.layers.Layer], prefix: str
) -> dict[str, str]:
    modules = [
        layer for layer in layers if not isinstance(layer, _WITHIN_OTHERS)
    ]
    return {
        layer.name: f"{prefix}{index}" for index, layer in enumerate(modules)
    }


def _residual_convnet(network: keras.Model) -> dict[str, str]:
    names = {"conv1": "0"}
    position = 2
    for layer in network.layers:
        if unit := re.fullmatch(r"(block\d+_unit\d+)_add", layer.name):
            # Convolution, ReLU, the sum of two convolutions, ReLU.
            names[f"{unit[1]}_conv1"] = f"{position}.Ws.0"
            names[f"{unit[1]}_shortcut"] = f"{position + 2}.Ws.0"
            names[f"{unit[1]}_conv2"] = f"{position + 2}.Ws.2"
            position += 4
    # After the module that flattens.
    names["dense1"] = str(position + 1)
    names["logits"] = str(position + 3)
    return names


def _resnet(shortcut: str, logits: str) -> Callable[..., dict[str, str]]:
    unit = r"block(\d+)_unit(\d+)_"
    rules = {
        r"(conv1)": "{0}",
        r"conv1_bn": "bn1",
        unit + r"conv(\d)": "layer{0}.{unit}.conv{2}",
        unit + r"conv(\d)_bn": "layer{0}.{unit}.bn{2}",
        unit + r"shortcut": f"layer{{0}}.{{unit}}.{shortcut}.0",
        unit + r"shortcut_bn": f"layer{{0}}.{{unit}}.{shortcut}.1",
        r"logits": logits,
    }
    return lambda network: _by_rules(network, rules)


def _wide_resnet(network: keras.Model) -> dict[str, str]:
    unit = r"block(\d+)_unit(\d+)_"
    rules = {
        r"(conv1)": "{0}",
        unit + r"((?:conv|bn)\d)": "block{0}.layer.{unit}.{2}",
        unit + r"shortcut": "block{0}.layer.{unit}.convShortcut",
        r"bn": "bn1",
        r"logits": "fc",
    }
    return _by_rules(network, rules)


def _by_rules(network: keras.Model, rules: dict[str, str]) -> dict[str, str]:
    """Returns new names by the rule whose pattern a layer's name fits."""
    names = {}
    for layer in network.layers:
        for pattern, new in rules.items():
            if match := re.fullmatch(pattern, layer.name):
                groups = match.groups()
                # PyTorch counts units from 0.
                unit = int(groups[1]) - 1 if len(groups) > 1 else 0
                names[layer.name] = new.format(*groups, unit=unit)
    return names


_FAMILIES: dict[str, Callable[[keras.Model], dict[str, str]]] = {
    "hydra_tf.models.small": _small,
    "hydra_tf.models.vgg": _vgg,
    "hydra_tf.models.resnet": _resnet("shortcut", "linear"),
    "hydra_tf.models.wide_resnet": _wide_resnet,
    "cifar_model_resnet": _residual_convnet,
    "resnet50_imagenet": _resnet("downsample", "fc"),
}
