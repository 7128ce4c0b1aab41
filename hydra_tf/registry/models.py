"""The networks: functions of `(input_shape, num_classes)`.

To add one, write its function in a file of `hydra_tf/models/` and its row here;
`hydra_tf.models.register` adds one from outside the library.
"""

from __future__ import annotations

from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry


def _rows(module: str, **summaries: str) -> list[Entry]:
    return [
        Entry(name=name, target=f"hydra_tf.models.{module}:{name}", help=text)
        for name, text in summaries.items()
    ]


def _vgg(name: str, convs: int) -> list[Entry]:
    text = f"VGG with {convs} convolutions and three dense layers"
    return _rows(
        "vgg",
        **{
            name: f"{text}, without batch norm.",
            f"{name}_bn": f"{text}, with batch norm.",
        },
    )


def _wide_resnet(depth: int, width_factor: int) -> list[Entry]:
    text = f"Wide ResNet of depth {depth}, {width_factor} times as wide."
    return _rows("wide_resnet", **{f"wrn_{depth}_{width_factor}": text})


_TWO_CONVS = (
    "Two 4x4 convolutions with stride 2 (16, 32), a dense layer of 100."
)
_FOUR_CONVS = "Four convolutions (32, 32, 64, 64), two dense layers of 512."

MODELS: Registry[Entry] = Registry(
    "model",
    (
        *_rows(
            "small",
            digits_model="Four 3x3 convolutions (16, 32, 64, 64) and 128 "
            "units, for tiny images.",
            mnist_model=_TWO_CONVS,
            mnist_model_large=_FOUR_CONVS,
            cifar_model=_TWO_CONVS,
            cifar_model_large=_FOUR_CONVS,
            cifar_model_resnet="A residual network without batch norm, with a "
            "conv on every shortcut.",
        ),
        *_vgg("vgg2", 2),
        *_vgg("vgg4", 4),
        *_vgg("vgg8", 8),
        *_vgg("vgg11", 8),
        *_rows(
            "vgg",
            vgg11_bn_narrow="vgg11_bn with a quarter of the channels.",
        ),
        *_vgg("vgg13", 10),
        *_vgg("vgg16", 13),
        *_rows(
            "resnet",
            resnet18="ResNet-18 for small images: 3x3 stem, four blocks of two "
            "units.",
            resnet18_narrow="ResNet-18 with a quarter of the channels.",
            resnet34="ResNet-34 for small images: 3x3 stem, 3, 4, 6 and 3 "
            "units.",
            resnet50="ResNet-50 for small images: 3x3 stem, 3, 4, 6 and 3 "
            "bottlenecks.",
            resnet50_imagenet="ResNet-50 for ImageNet: 7x7 stem, 3, 4, 6 and 3 "
            "bottlenecks.",
        ),
        *_wide_resnet(28, 1),
        *_wide_resnet(28, 4),
        *_wide_resnet(28, 10),
        *_wide_resnet(34, 10),
        *_wide_resnet(40, 2),
        *_rows(
            "vit",
            vit_tiny="Vision transformer of width 192, 12 blocks and 3 heads; "
            "patches of 4x4 pixels on 32x32 images.",
            digits_vit="Vision transformer of width 64, 4 blocks and 4 heads, "
            "for tiny images.",
        ),
        *_rows(
            "convnext",
            convnext_tiny="ConvNeXt-Tiny: 3, 3, 9 and 3 units of 96 to 768 "
            "channels; a 2x2 stem on 32x32 images.",
        ),
        *_rows(
            "mobilenet",
            mobilenet="MobileNet: depthwise 3x3 and 1x1 convolutions in turn, "
            "13 of each; a stem with stride 2.",
            mobilenet_half="MobileNet with half the channels.",
        ),
    ),
)
