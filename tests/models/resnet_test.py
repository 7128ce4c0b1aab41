"""The residual networks equal the originals."""

import keras
import numpy as np
import pytest

from hydra_tf import models
from tests import golden
from tests.models import reference


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # Well known for the CIFAR variants with 10 classes.
        ("resnet18", 11173962),
        # By hand: 432 and a sixteenth of the other kernels, batch norm, logits.
        ("resnet18_narrow", 432 + 11157504 // 16 + 2400 + 1290),
        ("resnet34", 21282122),
        ("resnet50", 23520842),
        # torchvision's ResNet-50 with 1000 classes.
        ("resnet50_imagenet", 25557032),
    ],
)
def test_trainable_parameter_count(name, count):
    model = getattr(models, name)()
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == count


def test_resnet18_kernels_have_the_original_shapes():
    arrays = golden.load("strategies")
    model = models.resnet18()
    for name, shape in zip(
        arrays["resnet18_module_names"],
        arrays["resnet18_module_shapes"],
        strict=True,
    ):
        kernel = model.get_layer(_layer_name(str(name))).kernel
        assert (1, 1, *kernel.shape)[-4:] == tuple(shape)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(kernels) == len(arrays["resnet18_module_names"])


def test_resnet18_layers_are_in_the_original_order():
    names = golden.load("strategies")["resnet18_module_names"]
    assert [
        layer.name
        for layer in models.resnet18().layers
        if hasattr(layer, "kernel")
    ] == [_layer_name(str(name)) for name in names]


def _layer_name(original: str) -> str:
    """Translates `"layer2.0.shortcut.0"` into `"block2_unit1_shortcut"`."""
    if original == "linear":
        return "logits"
    block, *rest = original.split(".")
    if not rest:
        return original
    return f"{block.replace('layer', 'block')}_unit{int(rest[0]) + 1}_{rest[1]}"


def test_resnet18_logits_equal_the_original_network():
    expected = golden.load("models")["resnet18_32"]
    logits = reference.logits(models.resnet18())
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_resnet50_logits_equal_the_original_network():
    # Both networks share the bottleneck; this one adds stem and max-pooling.
    expected = golden.load("models")["resnet50_imagenet_64"]
    logits = reference.logits(
        models.create("resnet50_imagenet", (64, 64, 3), 1000)
    )
    np.testing.assert_allclose(logits[:10], expected, rtol=1e-4, atol=0.1)


def test_last_maps_are_averaged_whatever_their_size():
    model = models.create("resnet18", (8, 8, 1), 3)
    assert model.get_layer("pool").input.shape == (None, 1, 1, 512)
    assert model(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 3)


def test_small_image_networks_start_as_pytorch_does():
    keras.utils.set_random_seed(3)
    kernel = np.asarray(models.resnet18().get_layer("conv1").kernel)
    assert np.abs(kernel).max() <= 1 / np.sqrt(27)
