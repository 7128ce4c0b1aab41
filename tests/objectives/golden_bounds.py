"""One step of an objective on bounds on the golden networks.

The golden values come from one step of the original trainers in float64.
"""

import numpy as np
import tensorflow as tf

import hydra_tf as ht
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

# Beside a sum over the batch that float32 does in another order; the golden
# loss is off by 3e-7 of itself.
LOSS_RTOL = 1e-5
# Of the largest entry of a gradient.
GRADIENT_TOLERANCE = 1e-4


def golden_network(arrays, name, phase):
    """Returns the network `name` of a file, masked if it has masks."""
    masked = f"{name}/conv1/mask" in arrays
    kernel = "kernel_dense" if masked else "kernel"
    network = tiny_net(
        {
            f"{layer}_{weight}": arrays[f"{name}/{layer}/{key}"]
            for layer in LAYERS
            for weight, key in (("kernel", kernel), ("bias", "bias"))
        }
    )
    if not masked:
        return network
    network = ht.to_masked(network)
    for layer_name, layer in ht.masked_layers(network).items():
        layer.scores.assign(arrays[f"{name}/{layer_name}/scores"])
    ht.set_density(network, 0.3)
    ht.set_phase(network, phase)
    for layer_name, layer in ht.masked_layers(network).items():
        np.testing.assert_array_equal(
            layer.mask, arrays[f"{name}/{layer_name}/mask"]
        )
    return network


def step(objective, network, arrays, *, compile_it=False, **kwargs):
    """Returns terms, figures and gradients by the path of each weight."""
    images = tf.constant(arrays["images"])
    labels = tf.constant(arrays["labels"])

    def compute():
        with (
            tf.GradientTape() as tape,
            ht.layers.reuse_effective_kernels(network),
        ):
            loss = objective.losses(network, images, labels, images, **kwargs)
        weights = network.trainable_variables
        gradients = tape.gradient(
            loss.value, [weight.value for weight in weights]
        )
        return loss.terms, loss.figures, gradients

    terms, figures, gradients = (
        tf.function(compute, autograph=False)() if compile_it else compute()
    )
    paths = [weight.path for weight in network.trainable_variables]
    return terms, figures, dict(zip(paths, gradients, strict=True))


def assert_gradients(gradients, arrays, case, phase):
    expected = {}
    for layer in LAYERS:
        if phase == "prune":
            expected[f"{layer}/scores"] = arrays[f"{case}/grad_scores/{layer}"]
            continue
        for weight in ("kernel", "bias"):
            expected[f"{layer}/{weight}"] = arrays[
                f"{case}/grad/{layer}/{weight}"
            ]
    assert set(gradients) == set(expected)
    for path, value in expected.items():
        np.testing.assert_allclose(
            gradients[path],
            value,
            rtol=0,
            atol=GRADIENT_TOLERANCE * np.abs(value).max(),
            err_msg=path,
        )
