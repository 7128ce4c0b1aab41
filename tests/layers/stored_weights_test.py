"""What files hold of masked layers, and Keras' contract for variables."""

import keras
import numpy as np
import pytest

from hydra_tf import layers
from hydra_tf.errors import InputError
from hydra_tf.layers.scores import Density
from hydra_tf.layers.scores import Scoring
from hydra_tf.ops.counts import kept_count

CASES = {
    "dense": (lambda **k: layers.MaskedDense(3, **k), (2, 4)),
    "conv1d": (lambda **k: layers.MaskedConv1D(3, 2, **k), (2, 5, 4)),
    "conv2d": (lambda **k: layers.MaskedConv2D(3, 2, **k), (2, 5, 5, 4)),
    "depthwise": (
        lambda **k: layers.MaskedDepthwiseConv2D(2, **k),
        (2, 5, 5, 4),
    ),
    "transpose": (
        lambda **k: layers.MaskedConv2DTranspose(3, 2, **k),
        (2, 5, 5, 4),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"],
)
def test_float_weights_have_the_variable_dtype(case, dtype):
    make, shape = CASES[case]
    layer = make(density=0.3, min_density=0.01, dtype=dtype)
    outputs = layer(np.ones(shape, "float32"))
    assert outputs.dtype.name == layer.compute_dtype
    floats = [
        weight
        for weight in layer.weights
        if keras.backend.is_float_dtype(weight.dtype)
    ]
    assert {weight.dtype for weight in floats} == {layer.variable_dtype}
    names = {"kernel", "bias", "scores", "density", "rate"}
    assert {weight.name for weight in floats} == names
    layer.stop_learning_density(0.3)
    assert np.sum(layer.mask) == kept_count(0.3, np.size(layer.mask))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kept", [1, 37, 99_999_989, 10**8])
def test_counts_are_exact_in_any_dtype(dtype, kept):
    size = 10**8
    count = Scoring(np.zeros, (1,), 1.0).count
    density = Density(
        lambda shape, dtype: keras.ops.ones(shape, dtype),
        size=size,
        count=count,
        dtype=dtype,
        name="density",
        on_assign=lambda: None,
    )
    density.assign(kept / size)
    assert int(count) == kept
    assert kept_count(float(density), size) == kept


@pytest.mark.parametrize("value", [0.1, 0.3, 0.9, 1 / 3, 0.05, 1.0])
def test_density_reads_as_it_was_assigned(value):
    layer = layers.MaskedDense(7)
    layer.build((None, 13))
    layer.density = value
    assert float(layer.density) == pytest.approx(value, rel=1e-7)
    assert np.sum(layer.mask) == kept_count(value, 91)
    layer.density.assign(0.5)
    assert np.sum(layer.mask) == 46


def stored(layer):
    store = {}
    layer.save_own_variables(store)
    return {name: np.asarray(value) for name, value in store.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_files_hold_densities_as_before(dtype):
    layer = layers.MaskedDense(7, density=1 / 3, dtype=dtype)
    layer.build((None, 3))
    store = stored(layer)
    assert list(store) == ["kernel", "bias", "scores", "density"]
    assert store["density"].dtype == np.float64
    assert kept_count(store["density"], 21) == 7
    other = layers.MaskedDense(7, dtype=dtype, phase="finetune")
    other.build((None, 3))
    # As files of earlier versions hold it.
    other.load_own_variables(store | {"density": np.float64(1 / 3)})
    assert float(other.density) == float(layer.density)
    assert np.sum(other.mask) == np.sum(layer.mask) == 7


def test_arrays_carry_the_count():
    layer = layers.MaskedDense(7, density=1 / 3, dtype="bfloat16")
    other = layers.MaskedDense(7, dtype="bfloat16")
    layer.build((None, 3))
    other.build((None, 3))
    other.set_weights(layer.get_weights())
    assert np.sum(other.mask) == 7


@pytest.mark.parametrize("names", [["0", "1"], ["kernel"], []])
def test_weights_of_something_else_are_refused(names):
    layer = layers.MaskedDense(7)
    layer.build((None, 3))
    with pytest.raises(InputError, match=r"set_plain_weights\(model, path\)"):
        layer.load_own_variables(dict.fromkeys(names, np.zeros(7)))


def test_arrays_of_a_plain_layer_are_refused():
    layer = layers.MaskedDense(7)
    layer.build((None, 3))
    with pytest.raises(InputError, match="set_plain_weights.*2 arrays"):
        layer.set_weights([np.zeros((3, 7)), np.zeros(7)])
    with pytest.raises(ValueError, match="list of length 3"):
        layer.set_weights([np.zeros((3, 7)), np.zeros(7), np.zeros(7)])
