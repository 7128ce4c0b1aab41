"""IBP, CROWN-IBP and MixTrain against the golden losses and gradients.

Those come from one step of the original trainers in float64.
"""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

# Beside a sum over the batch that float32 does in another order; the golden
# loss is off by 3e-7 of itself.
LOSS_RTOL = 1e-5
# Of the largest entry of a gradient.
GRADIENT_TOLERANCE = 1e-4


class Recorder:
    """A network that keeps the figures of its objective."""

    is_view = True

    def __init__(self, network):
        self.network = network
        self.figures = {}

    def __call__(self, images, training=None):
        return self.network(images, training=training)

    def record_figures(self, figures):
        self.figures.update(figures)


def network_of(arrays, name, phase):
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


def step(objective, network, arrays, *, compile_it=True, **kwargs):
    """Returns terms, figures and gradients by the path of each weight."""
    images = tf.constant(arrays["images"])
    labels = tf.constant(arrays["labels"])
    recorder = Recorder(network)

    def compute():
        with (
            tf.GradientTape() as tape,
            ht.layers.reuse_effective_kernels(network),
        ):
            terms = objective.loss_terms(
                recorder, images, labels, images, training=True, **kwargs
            )
            loss = tf.add_n(list(terms.values()))
        weights = network.trainable_variables
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        return terms, recorder.figures, gradients

    terms, figures, gradients = (
        tf.function(compute)() if compile_it else compute()
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


# Of the plain network, gradients of two cases are kept.
CROWN_IBP_CASES = [
    ("N1", "finetune", 1),
    ("N1", "finetune", 2),
    *[("N1m", phase, i) for phase in ("finetune", "prune") for i in range(4)],
]


def crown_ibp(arrays, case):
    """Returns the objective and the epoch whose radius is that of a case."""
    target = float(arrays["cases/eps_target"][case])
    epsilon = float(arrays["cases/eps"][case])
    ramp = ht.schedules.LinearRamp(0, 1, first=0.0, last=target)
    return ht.objectives.CROWNIBP(epsilon=ramp), epsilon / target


@pytest.mark.parametrize(("name", "phase", "case"), CROWN_IBP_CASES)
def test_crown_ibp_matches_golden(name, phase, case):
    arrays = golden.load("crown_ibp_loss")
    network = network_of(arrays, name, phase)
    objective, epoch = crown_ibp(arrays, case)
    terms, figures, gradients = step(
        objective, network, arrays, epoch=tf.constant(epoch)
    )
    key = f"{name}/case{case}"
    np.testing.assert_allclose(
        terms["robust_ce"], arrays[f"{key}/robust_ce"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, key, phase)
    np.testing.assert_allclose(
        figures["natural_ce"][0], arrays[f"{key}/clean_ce"], rtol=LOSS_RTOL
    )
    np.testing.assert_allclose(
        figures["certified_accuracy"][0],
        np.mean((arrays[f"{key}/mixed_margin_lower"] > 0).all(axis=1)),
    )
    np.testing.assert_allclose(
        figures["epsilon"], arrays["cases/eps"][case], rtol=1e-6
    )
    np.testing.assert_allclose(
        figures["crown_weight"], arrays["cases/beta"][case], atol=1e-6
    )


@pytest.mark.parametrize("name", ["N1", "N1m"])
@pytest.mark.parametrize("case", range(4))
def test_a_fixed_weight_of_crown_matches_golden(name, case):
    arrays = golden.load("crown_ibp_loss")
    objective = ht.objectives.CROWNIBP(
        epsilon=float(arrays["cases/eps"][case]),
        crown_weight=float(arrays["cases/beta"][case]),
    )
    network = network_of(arrays, name, "finetune")
    terms, _, _ = step(objective, network, arrays)
    np.testing.assert_allclose(
        terms["robust_ce"],
        arrays[f"{name}/case{case}/robust_ce"],
        rtol=LOSS_RTOL,
    )


def test_ibp_is_the_golden_case_without_crown():
    arrays = golden.load("crown_ibp_loss")
    network = network_of(arrays, "N1", "finetune")
    objective = ht.objectives.IBP(epsilon=float(arrays["cases/eps"][2]))
    terms, _, gradients = step(objective, network, arrays)
    np.testing.assert_allclose(
        terms["robust_ce"], arrays["N1/case2/robust_ce"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, "N1/case2", "finetune")


class Drawn(ht.objectives.MixTrain):
    """MixTrain that draws what the golden step drew."""

    def __init__(self, arrays, case):
        super().__init__(
            epsilon=float(arrays["cases/eps"][case]),
            symbolic_weight=float(arrays["cases/interval_weight"][case]),
            probability=float(arrays["alpha"]),
            num_examples=int(arrays["k"]),
        )
        self.drawn = (
            tf.constant(arrays["cases/uniform_draw"][case]) <= self.probability,
            tf.constant(arrays["sample_indices"], tf.int32),
        )

    def draw(self, seed, num_images):
        return self.drawn


@pytest.mark.parametrize(
    ("name", "phase", "case"),
    [
        ("N1", "finetune", 1),
        *[
            ("N1m", phase, i)
            for phase in ("finetune", "prune")
            for i in range(5)
        ],
    ],
)
def test_mixtrain_matches_golden(name, phase, case):
    arrays = golden.load("mixtrain_loss")
    network = network_of(arrays, name, phase)
    objective = Drawn(arrays, case)
    terms, figures, gradients = step(objective, network, arrays)
    key = f"{name}/case{case}"
    np.testing.assert_allclose(
        terms["natural_ce"], arrays[f"{key}/clean_ce"], rtol=LOSS_RTOL
    )
    np.testing.assert_allclose(
        terms["robust_ce"],
        objective.symbolic_weight * arrays[f"{key}/sym_ce"],
        rtol=LOSS_RTOL,
    )
    np.testing.assert_allclose(
        sum(terms.values()), arrays[f"{key}/loss"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, key, phase)
    certified, weight = figures["certified_accuracy"]
    assert weight == arrays["cases/use_symbolic"][case]
    if weight:
        np.testing.assert_allclose(certified, 1 - arrays[f"{key}/sym_error"])


@pytest.mark.parametrize("phase", ["finetune", "prune"])
def test_eager_and_compiled_steps_agree(phase):
    arrays = golden.load("crown_ibp_loss")
    network = network_of(arrays, "N1m", phase)
    objective, epoch = crown_ibp(arrays, 1)
    results = [
        step(
            objective,
            network,
            arrays,
            compile_it=compile_it,
            epoch=tf.constant(epoch),
        )
        for compile_it in (True, False)
    ]
    np.testing.assert_allclose(
        *(terms["robust_ce"] for terms, _, _ in results), rtol=1e-6
    )
    for path, gradient in results[0][2].items():
        np.testing.assert_allclose(
            gradient, results[1][2][path], rtol=0, atol=1e-6
        )
