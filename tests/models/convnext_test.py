"""ConvNeXt has the sizes of the literature, and a stem for small images."""

import pytest

from hydra_tf import models
from hydra_tf.models import convnext


def unit(width):
    """Weights of a 7x7 convolution, a norm and two dense layers."""
    conv, norm = 7 * 7 * width + width, 2 * width
    return conv + norm + 2 * 4 * width * width + 5 * width


def test_parameter_count():
    model = models.convnext_tiny()
    assert model.name == "convnext_tiny"
    widths = (96, 192, 384, 768)
    units = sum(n * unit(w) for n, w in zip((3, 3, 9, 3), widths, strict=True))
    stem = 2 * 2 * 3 * 96 + 96 + 2 * 96
    down = sum(2 * w + 4 * w * 2 * w + 2 * w for w in widths[:3])
    logits = 2 * 768 + 10 * 768 + 10
    assert model.count_params() == units + stem + down + logits


@pytest.mark.parametrize(
    ("size", "maps"), [(64, 16), (32, 16), (28, 14), (8, 8)]
)
def test_stem_follows_the_size_of_the_image(size, maps):
    model = convnext.convnext(
        (size, size, 1), 2, name="net", num_units=(1, 1), widths=(4, 8)
    )
    assert model.get_layer("stem").output.shape == (None, maps, maps, 4)
    last = model.get_layer("block2_unit1_add").output
    assert last.shape == (None, maps // 2, maps // 2, 8)
