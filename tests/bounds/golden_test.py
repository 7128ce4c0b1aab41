"""The bounds against those of the original systems, computed in float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.bounds.golden_networks import N3_INPUTS
from tests.bounds.golden_networks import golden_network

TOLERANCE = 1e-4

CASES = [("noclip", 1), ("clip", 8)]
NETWORKS = [
    ("N1", "finetune"),
    ("N1m", "finetune"),
    ("N1m", "prune"),
    ("N2m", "finetune"),
    ("N3", "finetune"),
    ("N3m", "finetune"),
]
# Golden files of these hold the bounds on every layer.
WITH_LAYERS = ("N1m", "N2m", "N3")

every_case = pytest.mark.parametrize(("box", "epsilon"), CASES)
every_network = pytest.mark.parametrize(("name", "phase"), NETWORKS)

network_of = functools.cache(golden_network)


def box_of(arrays, box, epsilon, images="images"):
    """Returns the ends of the boxes and the prefix of their arrays."""
    number = list(arrays["eps_names"]).index(str(epsilon))
    clip = (0.0, 1.0) if box == "clip" else None
    return ht.bounds.input_box(arrays[images], arrays["eps"][number], clip)


def assert_bounds(ends, arrays, key):
    for end, side in zip(ends, ("lower", "upper"), strict=True):
        np.testing.assert_allclose(
            end, arrays[f"{key}/{side}"], rtol=0, atol=TOLERANCE, err_msg=key
        )


def assert_layers(intermediate, arrays, prefix):
    """Compares the bounds on every layer that the file has."""
    for layer, ends in intermediate.items():
        assert_bounds(ends, arrays, f"{prefix}/{N3_INPUTS.get(layer, layer)}")


def assert_margins(margins, arrays, key):
    np.testing.assert_allclose(margins, arrays[key], rtol=0, atol=TOLERANCE)


@every_network
def test_networks_compute_golden_logits(name, phase):
    arrays = golden.load("bounds_ibp")
    np.testing.assert_allclose(
        network_of(name, phase)(arrays["images"]),
        arrays[f"{name}/logits"],
        rtol=0,
        atol=TOLERANCE,
    )


@every_network
@every_case
def test_interval_bounds(name, phase, box, epsilon):
    arrays = golden.load("bounds_ibp")
    network, ends = network_of(name, phase), box_of(arrays, box, epsilon)
    prefix = f"{name}/{box}/eps{epsilon}"
    margins, _ = ht.bounds.interval(network, *ends, arrays["spec"])
    assert_margins(margins, arrays, f"{prefix}/margin_lower")
    if name in WITH_LAYERS:
        *logits, layers = ht.bounds.interval(
            network, *ends, return_intermediate=True
        )
        assert_bounds(logits, arrays, f"{prefix}/logits")
        assert_layers(layers, arrays, prefix)


@every_network
@every_case
@pytest.mark.parametrize("method", ["crown_ibp", "crown"])
def test_crown_bounds(name, phase, box, epsilon, method):
    arrays = golden.load("bounds_crown")
    propagation = ht.bounds.BoundPropagation(
        network_of(name, phase), *box_of(arrays, box, epsilon)
    )
    prefix = f"{name}/{box}/eps{epsilon}/{method}"
    margins, _ = propagation.bound(method, arrays["spec"])
    assert_margins(margins, arrays, f"{prefix}/margin_lower")
    if name in WITH_LAYERS:
        assert_bounds(propagation.bound(method), arrays, f"{prefix}/logits")
        if method == "crown":
            assert_layers(propagation.intermediate(method), arrays, prefix)


@pytest.mark.parametrize(
    ("name", "phase"),
    [("N1", "finetune"), ("N1m", "finetune"), ("N1m", "prune")],
)
@pytest.mark.parametrize("epsilon", [1, 8])
def test_symbolic_bounds(name, phase, epsilon):
    arrays = golden.load("bounds_symbolic")
    network, labels = network_of(name, phase), arrays["labels"]
    ends = box_of(arrays, "clip", epsilon)
    prefix = f"{name}/eps{epsilon}/sym"
    *logits, layers = ht.bounds.symbolic_interval(
        network, *ends, return_intermediate=True
    )
    assert_bounds(logits, arrays, f"{prefix}/dense2")
    assert_layers(layers, arrays, prefix)
    spec = ht.bounds.margin_spec(labels, 10)
    margins, _ = ht.bounds.symbolic_interval(network, *ends, spec)
    # The original bounds z_j - z_y from above, with a 0 at j = y.
    worst = arrays[f"{prefix}/worst_margins"]
    others = np.arange(10) != labels[:, np.newaxis]
    np.testing.assert_allclose(
        margins, -worst[others].reshape(-1, 9), rtol=0, atol=TOLERANCE
    )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, np.where(others, worst, 0)
    )
    np.testing.assert_allclose(
        losses, arrays[f"{prefix}/loss_per_example"], rtol=1e-4
    )
    certified = np.all(margins.numpy() > 0, axis=1)
    np.testing.assert_array_equal(
        certified, arrays[f"{prefix}/error_per_example"] == 0
    )


@pytest.mark.parametrize("name", ["N1m", "N2m"])
@pytest.mark.parametrize("epsilon", [1, 2, 8])
def test_margins_are_below_what_a_strong_attack_found(name, epsilon):
    arrays = golden.load("soundness")
    images, labels = arrays["images"], arrays["labels"]
    number = list(arrays["eps_names"]).index(str(epsilon))
    prefix = f"{name}/eps{epsilon}"
    attacked = arrays[f"{prefix}/pgd_margin_min"]
    network, radius = network_of(name), arrays["eps"][number]
    propagation = ht.bounds.BoundPropagation(
        network, *ht.bounds.input_box(images, radius)
    )
    spec = ht.bounds.margin_spec(labels, 10)
    for method in ht.bounds.METHODS:
        margins = propagation.bound(method, spec, upper=False)[0].numpy()
        assert np.all(margins <= attacked + 1e-5), method
        key = f"{prefix}/{method}_margin_lower"
        if method == "best":
            expected = np.maximum(
                arrays[f"{prefix}/ibp_margin_lower"],
                arrays[f"{prefix}/crown_margin_lower"],
            )
        elif key in arrays:
            expected = arrays[key]
        else:
            assert method == "symbolic" and name == "N2m"
            continue
        np.testing.assert_allclose(margins, expected, rtol=0, atol=TOLERANCE)
        np.testing.assert_array_equal(
            (margins > 0).all(axis=1), (expected > 0).all(axis=1)
        )
    np.testing.assert_array_equal(
        ht.bounds.certified(network, images, labels, radius),
        (expected > 0).all(axis=1),
    )
