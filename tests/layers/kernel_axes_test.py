"""Where channels lie in kernels."""

import numpy as np
import pytest

from hydra_tf.layers.kernel_axes import KernelAxes

CONV = KernelAxes((3, 2, 4, 5))
TRANSPOSE = KernelAxes((3, 2, 5, 4), inputs=(-1,), outputs=(-2,))
DEPTHWISE = KernelAxes((3, 2, 4, 2), inputs=(-2,), outputs=(-2, -1))
HEADS = KernelAxes((4, 2, 3), inputs=(-3,), outputs=(-2, -1))
BEHIND_HEADS = KernelAxes((2, 3, 4), inputs=(-3, -2), outputs=(-1,))


@pytest.mark.parametrize(
    ("axes", "inputs", "outputs", "fan_in", "depthwise"),
    [
        (CONV, 4, 5, 24, False),
        (TRANSPOSE, 4, 5, 24, False),
        (DEPTHWISE, 4, 8, 6, True),
    ],
)
def test_channels_are_counted(axes, inputs, outputs, fan_in, depthwise):
    assert (axes.num_inputs, axes.num_outputs) == (inputs, outputs)
    assert axes.fan_in == fan_in
    assert axes.depthwise == depthwise
    assert axes.count(axes.weights) == np.prod(axes.shape)


@pytest.mark.parametrize("axes", [CONV, TRANSPOSE, DEPTHWISE])
@pytest.mark.parametrize("side", ["inputs", "outputs", "weights"])
def test_sums_take_back_what_is_spread_along_the_kernel(axes, side):
    along = getattr(axes, side)
    vector = np.arange(1.0, 1 + axes.count(along))
    spread = np.broadcast_to(axes.along(along, vector), axes.shape)
    repeats = np.prod(axes.shape) / len(vector)
    np.testing.assert_allclose(axes.sums(along, spread), repeats * vector)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        (CONV, (3, 2, 4, 5)),
        (TRANSPOSE, (3, 2, 4, 5)),
        (DEPTHWISE, (3, 2, 4, 2)),
        (HEADS, (4, 6)),
        (BEHIND_HEADS, (6, 4)),
    ],
)
def test_folding_takes_back_what_is_unfolded(axes, shape):
    kernel = np.random.default_rng(0).normal(size=axes.shape)
    values = axes.unfolded(kernel)
    assert values.shape == shape
    np.testing.assert_array_equal(axes.folded(values), kernel)
    spatial = tuple(range(values.ndim - 2))
    np.testing.assert_allclose(
        values.sum(axis=(*spatial, -1)), axes.sums(axes.inputs, kernel)
    )
