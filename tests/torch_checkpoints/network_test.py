"""Networks of state dicts compute what PyTorch computes with them.

What PyTorch is needed for is in `torch_test`.
"""

import json

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests import golden
from tests.torch_checkpoints import weights

QUICK = ("mnist_model", "cifar_model", "vgg4_bn")
SLOW = [name for name in weights.CASES if name not in QUICK]


def state_dict(name):
    shapes = json.loads(str(golden.load("torch_checkpoints")[f"{name}/shapes"]))
    shapes = {key: tuple(shape) for key, shape in shapes.items()}
    return weights.drawn(shapes, weights.CASES[name].get("k", 1.0))


def convnet_state(density=None):
    """The state dict of a cifar_model for images of 8x8x3 and 3 classes."""
    shapes = {"0.weight": (16, 3, 4, 4), "0.bias": (16,)}
    shapes |= {"2.weight": (32, 16, 4, 4), "2.bias": (32,)}
    shapes |= {"5.weight": (100, 32 * 2 * 2), "5.bias": (100,)}
    shapes |= {"7.weight": (3, 100), "7.bias": (3,)}
    if density is not None:
        shapes |= {
            name.replace("weight", "popup_scores"): shape
            for name, shape in shapes.items()
            if name.endswith("weight")
        }
    return weights.drawn(shapes, density or 1.0)


def loaded(arrays, **arguments):
    return ht.load_torch_checkpoint(
        arrays, "cifar_model", input_shape=(8, 8, 3), **arguments
    )


@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)],
)
def test_logits_equal_those_of_pytorch(name, tmp_path):
    case = weights.CASES[name]
    network = ht.load_torch_checkpoint(
        state_dict(name), name, density=case.get("k")
    )
    images = weights.images(network.input_shape[1:])
    expected = golden.load("torch_checkpoints")[f"{name}/logits"]
    for each in (network, ht.strip_masks(network)):
        weights.assert_equal_logits(each(images, training=False), expected)
    assert (ht.sparsity_report(network).density < 1) == bool(case)


def test_file_keeps_network_and_phase(tmp_path):
    network = loaded(convnet_state(0.3), density=0.3)
    network.save(tmp_path / "network.keras")
    read = keras.saving.load_model(tmp_path / "network.keras")
    images = weights.images((8, 8, 3))
    np.testing.assert_array_equal(read(images), network(images))
    assert {layer.phase for layer in ht.masked_layers(read).values()} == {
        "finetune"
    }
    assert {
        float(layer.density) for layer in ht.masked_layers(read).values()
    } == {0.3}


def test_keeps_as_many_as_the_originals():
    # 1 - 0.9 is a little less than a tenth: of 300 weights 29 are removed.
    network = loaded(convnet_state(0.9), density=0.9)
    kept = [layer.kept for layer in ht.sparsity_report(network).layers]
    sizes = [16 * 48, 32 * 256, 100 * 128, 300]
    assert kept == [n - int((1 - 0.9) * n) for n in sizes]
    assert kept[-1] == 271


def test_mask_without_scores_keeps_what_is_not_zero():
    arrays = convnet_state()
    kept = {}
    random = np.random.default_rng(0)
    for name, array in arrays.items():
        if name.endswith("weight"):
            kept[name] = random.random(array.shape) < 0.2
            arrays[name] = np.where(kept[name], array, np.float32(0))
    # Too small for the ratio to the largest, but a weight.
    kept["7.weight"][0] = True
    arrays["7.weight"][0] = 1e-42
    network = loaded(arrays)
    layers = ht.masked_layers(network)
    np.testing.assert_array_equal(layers["logits"].mask, kept["7.weight"].T)
    np.testing.assert_array_equal(
        layers["conv2"].mask, kept["2.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(layers["logits"].kernel, arrays["7.weight"].T)


def test_layer_of_zeros_stays_zero():
    arrays = convnet_state()
    arrays["2.weight"][:] = 0
    layer = ht.masked_layers(loaded(arrays))["conv2"]
    assert not np.any(layer.effective_kernel)
    assert int(layer.scoring.num_kept) == 1


def test_pretrained_network_is_whole_in_the_pretrain_phase():
    arrays = convnet_state(1.0)
    arrays |= {f"{number}.k_score": np.float32(1) for number in (0, 2, 5, 7)}
    network = loaded(arrays, density=1)
    assert ht.sparsity_report(network).density == 1
    assert network.get_layer("conv1").phase == "pretrain"


def test_wrappers_and_unused_arrays_are_left_out():
    arrays = convnet_state()
    expected = loaded(arrays)(weights.images((8, 8, 3)))
    wrapped = {f"module.basic_model.{k}": a for k, a in arrays.items()}
    logits = loaded(wrapped)(weights.images((8, 8, 3)))
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("held", ["arguments", "buffers", "robustbench"])
def test_normalization_of_the_original_becomes_a_layer(held):
    arrays = convnet_state()
    mean, std = np.float32([0.5, 0.4, 0.3]), np.float32([0.25, 0.2, 0.5])
    images = weights.images((8, 8, 3))
    expected = loaded(arrays)((images - mean) / std)
    arguments = {}
    if held == "arguments":
        arguments = {"mean": (0.5, 0.4, 0.3), "std": (0.25, 0.2, 0.5)}
    elif held == "buffers":
        arrays = {f"1.{name}": array for name, array in arrays.items()}
        arrays |= {"0.mean": mean, "0.std": std}
    else:
        arrays |= {"mu": mean[:, None, None], "sigma": std[:, None, None]}
    network = loaded(arrays, **arguments)
    np.testing.assert_allclose(network(images), expected, atol=1e-5)
    assert network.layers[1].name == "normalize"
    ht.bounds.check_supported(network)


def test_first_key_that_does_not_fit_is_named():
    vgg = {"features.0.weight": np.zeros((64, 3, 3, 3), np.float32)}
    vgg |= {"classifier.4.weight": np.zeros((10, 256), np.float32)}
    with pytest.raises(InputError, match="no '0.weight'; .*'features.0.weig"):
        loaded(vgg)
    arrays = convnet_state()
    del arrays["2.bias"]
    with pytest.raises(InputError, match="another architecture.*no '2.bias'"):
        loaded(arrays)
    arrays = convnet_state() | {"9.weight": np.zeros((3, 3), np.float32)}
    with pytest.raises(InputError, match="corresponds to its '9.weight'"):
        loaded(arrays)
    arrays = convnet_state(0.1) | {"5.popup_scores": np.ones((100, 1))}
    with pytest.raises(InputError, match=r"'5.popup_scores' has shape \(100, "):
        loaded(arrays, density=0.1)
