"""Networks as people have them, small enough for tests."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import hydra_tf as ht

CLASSES = 4


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of the table.

    Attributes:
        make: Builds it.
        left: Share of the weights that at most remains at a density of 0.7 of
            channels; 1 where they cannot be removed.
        package: What it needs beyond Keras.
        slow: Whether it takes more than a second.
    """

    make: Callable[[], keras.Model]
    left: float = 0.9
    package: str = "keras"
    slow: bool = True


def _application(name: str, size: int = 32, **kwargs: Any) -> Architecture:
    """A network of `keras.applications`, untrained."""

    def make() -> keras.Model:
        return getattr(keras.applications, name)(
            weights=None,
            classes=CLASSES,
            input_shape=(size, size, 3),
            classifier_activation=None,
            **kwargs,
        )

    return Architecture(make)


def _own(name: str, size: int = 16, slow: bool = False) -> Architecture:
    make = functools.partial(ht.models.create, name, (size, size, 3), CLASSES)
    return Architecture(make, slow=slow)


def _hub(name: str, backbone: dict[str, Any], left: float) -> Architecture:
    """A classifier of KerasHub around a small backbone."""

    def make() -> keras.Model:
        import keras_hub

        features = getattr(keras_hub.models, f"{name}Backbone")(
            image_shape=(32, 32, 3), **backbone
        )
        return getattr(keras_hub.models, f"{name}ImageClassifier")(
            backbone=features, num_classes=CLASSES
        )

    return Architecture(make, left, package="keras_hub")


_RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [3],
    "stackwise_num_filters": [64, 16],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_strides": [1, 2],
}
_VIT = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}

ARCHITECTURES: dict[str, Architecture] = {
    name: _application(name)
    for name in (
        "ConvNeXtSmall",
        "ConvNeXtTiny",
        "DenseNet121",
        "DenseNet169",
        "EfficientNetB0",
        "EfficientNetB1",
        "EfficientNetV2B0",
        "EfficientNetV2B1",
        "EfficientNetV2S",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Large",
        "MobileNetV3Small",
        "ResNet101V2",
        "ResNet50",
        "ResNet50V2",
        "VGG16",
        "VGG19",
    )
}
ARCHITECTURES |= {
    "InceptionResNetV2": _application("InceptionResNetV2", 75),
    "InceptionV3": _application("InceptionV3", 75),
    "MobileNet narrow": dataclasses.replace(
        _application("MobileNet", alpha=0.25), slow=False
    ),
}
# Their channels pass through separable convolutions, which keep them.
ARCHITECTURES |= {
    "NASNetMobile": dataclasses.replace(_application("NASNetMobile"), left=1.0),
    "Xception": dataclasses.replace(_application("Xception", 71), left=1.0),
}
ARCHITECTURES |= {
    name: _own(name, size=8)
    for name in ("cifar_model", "digits_model", "digits_vit")
}
ARCHITECTURES |= {
    name: _own(name, size=32, slow=True)
    for name in (
        "cifar_model_large",
        "cifar_model_resnet",
        "convnext_tiny",
        "mobilenet_half",
        "resnet18",
        "resnet50",
        "vgg11",
        "vgg16_bn",
        "vit_tiny",
        "wrn_28_1",
    )
}
ARCHITECTURES |= {
    f"keras_hub {title}": _hub(title.split()[0], backbone, left)
    for title, backbone, left in (
        (
            "DeiT",
            _VIT | {"intermediate_dim": 32},
            1.0,
        ),
        (
            "DenseNet",
            {
                "stackwise_num_repeats": [2, 2],
                "growth_rate": 4,
                "compression_ratio": 0.5,
            },
            0.9,
        ),
        (
            "MobileNet",
            {
                "stackwise_expansion": [[16], [24, 24]],
                "stackwise_num_blocks": [1, 2],
                "stackwise_num_filters": [[8], [16, 16]],
                "stackwise_kernel_size": [[3], [5, 5]],
                "stackwise_num_strides": [[1], [2, 1]],
                "stackwise_se_ratio": [[None], [0.25, 0.25]],
                "stackwise_activation": [["relu6"], ["hard_swish"] * 2],
                "stackwise_padding": [[1], [2, 2]],
                "output_num_filters": 32,
                "depthwise_filters": 8,
                "depthwise_stride": 1,
                "depthwise_residual": True,
                "last_layer_filter": 32,
                "squeeze_and_excite": 0.5,
                "input_num_filters": 8,
            },
            0.9,
        ),
        ("ResNet", _RESNET | {"block_type": "basic_block"}, 0.9),
        (
            "ResNet V2",
            _RESNET
            | {"block_type": "bottleneck_block", "use_pre_activation": True},
            0.9,
        ),
        ("ViT", _VIT | {"mlp_dim": 32}, 1.0),
    )
}


def calibrated(model: keras.Model) -> keras.Model:
    """Gives batch normalisation the statistics of images, not those of none.

    With running variances of 1 the outputs of a deep network vanish, with very
    small ones rounding shows. ConvNeXt's layer scales, which begin so small
    that its blocks count for nothing, become 1.
    """
    for layer in model._flatten_layers():
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(keras.ops.ones_like(layer.gamma))
    kinds = (keras.layers.BatchNormalization, keras.layers.Dropout)
    layers = [
        each for each in model._flatten_layers() if isinstance(each, kinds)
    ]
    norms = [each for each in layers if isinstance(each, kinds[0])]
    if not norms:
        return model
    # Statistics of these images alone, nothing dropped.
    names = ["momentum" if each in norms else "rate" for each in layers]
    before = [getattr(*each) for each in zip(layers, names, strict=True)]
    for layer, name in zip(layers, names, strict=True):
        setattr(layer, name, 0.0)
    model(images_of(model, 8), training=True)
    for layer, name, value in zip(layers, names, before, strict=True):
        setattr(layer, name, value)
    for layer in norms:
        variance = layer.moving_variance
        least = 0.3 * keras.ops.mean(variance) + 1e-3
        variance.assign(keras.ops.maximum(variance, least))
    return model


def images_of(model: keras.Model, count: int = 2) -> np.ndarray:
    """Returns random images in the range that a network takes."""
    shape = (count, *model.input_shape[1:])
    images = np.random.default_rng(0).uniform(size=shape).astype("float32")
    return images * largest_pixel(model)


def largest_pixel(model: keras.Model) -> float:
    """Returns 255 for a network that scales its images itself, else 1."""
    scales = any(
        isinstance(layer, keras.layers.Rescaling)
        for layer in model._flatten_layers()
    )
    return 255.0 if scales else 1.0
