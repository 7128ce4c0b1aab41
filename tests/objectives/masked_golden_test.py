"""Objectives on masked networks against the golden gradients of each phase."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import batch_norm_net
from tests.tiny_net import set_statistics
from tests.tiny_net import tiny_net

# File, prefixes of the keys of each phase's gradients, key of the loss, and
# its relative tolerance (the L2 attack is only known in float32).
CASES = {
    "trades": ("trades", "prune_grad", "finetune_grad", "total_loss_f64", 1e-5),
    "l2_trades": ("trades", "l2_prune_grad", None, "l2_total_loss", 1e-4),
    "madry": (
        "pgd",
        "madry_prune_grad",
        "madry_finetune_grad",
        "madry_loss_f64",
        1e-5,
    ),
    "mart": (
        "pgd",
        "mart_prune_grad",
        "mart_finetune_grad",
        "mart_loss_f64",
        1e-5,
    ),
    "fgsm": (
        "pgd",
        "fgsm_prune_grad",
        "fgsm_finetune_grad",
        "fgsm_loss_f64",
        1e-5,
    ),
}


def objective_and_start(name, arrays):
    x = arrays["x"]
    settings = {
        "epsilon": float(arrays["epsilon"]),
        "step_size": float(arrays["step_size"]),
        "num_steps": int(arrays["num_steps"]),
    }
    if name == "trades":
        objective = ht.objectives.TRADES(beta=float(arrays["beta"]), **settings)
        return objective, x + 0.001 * arrays["n0"]
    if name == "l2_trades":
        objective = ht.objectives.TRADES(
            beta=float(arrays["beta"]),
            epsilon=float(arrays["l2_epsilon"]),
            num_steps=settings["num_steps"],
            threat_model="l2",
        )
        return objective, x + 0.001 * arrays["n0"]
    if name == "mart":
        objective = ht.objectives.MART(
            beta=float(arrays["mart_beta"]), **settings
        )
        return objective, x + 0.001 * arrays["start_normal"]
    if name == "fgsm":
        # The original trains with one step of `step_size` from the images.
        return ht.objectives.FGSM(epsilon=settings["step_size"]), None
    return ht.objectives.Madry(**settings), x + arrays["start_uniform"]


def masked_twin(network, arrays, phase):
    """Returns the masked network with the scores and masks of `arrays`."""
    model = ht.to_masked(network)
    for name, layer in ht.masked_layers(model).items():
        layer.scores.assign(arrays[f"{name}_scores"])
    ht.set_density(model, float(arrays["k"]))
    ht.set_phase(model, phase)
    for name, layer in ht.masked_layers(model).items():
        np.testing.assert_array_equal(layer.mask, arrays[f"mask_{name}"])
    return model


def loss_and_gradients(objective, model, x, y, start, compile_it):
    """Attacks and differentiates; the gradients by the path of each weight."""

    def step():
        perturbed = objective.perturb(model, x, y, start=start)
        with tf.GradientTape() as tape:
            loss = objective.loss(model, x, y, perturbed, training=True)
        weights = [w.value for w in model.trainable_variables]
        return loss, tape.gradient(loss, weights)

    if compile_it:
        step = tf.function(step, autograph=False)
    loss, gradients = step()
    paths = [weight.path for weight in model.trainable_variables]
    return loss, dict(zip(paths, gradients, strict=True))


def assert_gradient(actual, expected):
    """Within 1e-4 of the largest entry of the golden gradient."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        (name, phase)
        for name in CASES
        for phase in ("prune", "finetune")
        if (name, phase) != ("l2_trades", "finetune")
    ],
)
def test_masked_network_matches_golden(name, phase):
    file, prune_prefix, finetune_prefix, loss_key, rtol = CASES[name]
    arrays = golden.load(file)
    model = masked_twin(tiny_net(arrays), arrays, phase)
    objective, start = objective_and_start(name, arrays)
    loss, gradients = loss_and_gradients(
        objective,
        model,
        arrays["x"],
        arrays["y"],
        start,
        compile_it=name == "trades",
    )
    np.testing.assert_allclose(loss, arrays[loss_key], rtol=rtol)
    prefix, kinds = {
        "prune": (prune_prefix, ["scores"]),
        "finetune": (finetune_prefix, ["kernel", "bias"]),
    }[phase]
    assert len(gradients) == len(LAYERS) * len(kinds)
    for layer in LAYERS:
        for kind in kinds:
            assert_gradient(
                gradients[f"{layer}/{kind}"], arrays[f"{prefix}_{layer}_{kind}"]
            )


# Golden names of what trains in each phase, by the path of our weight.
TRAINED = {
    "prune": {
        "conv/scores": "conv_scores",
        "dense/scores": "dense_scores",
        "bn/gamma": "bn_gamma",
        "bn/beta": "bn_beta",
    },
    "finetune": {
        "conv/kernel": "conv_kernel",
        "dense/kernel": "dense_kernel",
        "dense/bias": "dense_bias",
        "bn/gamma": "bn_gamma",
        "bn/beta": "bn_beta",
    },
}


class FromStoredNoise(ht.objectives.TRADES):
    """TRADES of batchnorm.npz, whose attack starts from the stored noise."""

    def perturb(self, model, x, y, seed=None):
        noise = golden.load("batchnorm")["n0"]
        return super().perturb(model, x, y, start=x + 0.001 * noise)


def batch_norm_case(phase):
    """Returns the arrays, the masked network and the objective.

    The original's first training pass moves the running statistics before the
    attack; ours has no such pass, so they are set to where it leaves them.
    """
    arrays = golden.load("batchnorm")
    model = masked_twin(batch_norm_net(arrays), arrays, phase)
    set_statistics(
        model,
        arrays["pass_moving_mean"][0],
        arrays["pass_moving_var"][0],
        arrays,
    )
    objective = FromStoredNoise(
        beta=float(arrays["beta"]),
        epsilon=float(arrays["epsilon"]),
        step_size=float(arrays["step_size"]),
        num_steps=int(arrays["num_steps"]),
    )
    return arrays, model, objective


@pytest.mark.parametrize("phase", ["prune", "finetune"])
def test_batch_norm_gradients_match_golden(phase):
    arrays, model, objective = batch_norm_case(phase)
    x, y = arrays["x"], arrays["y"]
    perturbed = objective.perturb(model, x, y)
    np.testing.assert_allclose(perturbed, arrays["x_adv"], rtol=0, atol=1e-6)

    with tf.GradientTape() as tape:
        loss = objective.loss(model, x, y, perturbed, training=True)
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    np.testing.assert_allclose(loss, arrays["total_loss_f64"], rtol=1e-5)
    assert {weight.path for weight in weights} == set(TRAINED[phase])
    for weight, gradient in zip(weights, gradients, strict=True):
        name = TRAINED[phase][weight.path]
        assert_gradient(gradient, arrays[f"{phase}_grad_{name}"])


@pytest.mark.parametrize("phase", ["prune", "finetune"])
def test_one_step_of_robust_model_matches_golden(phase):
    arrays, model, objective = batch_norm_case(phase)
    before = {weight.path: weight.numpy() for weight in model.weights}
    robust = ht.RobustModel(model, objective)
    robust.compile(
        ht.training.SGD(
            float(arrays["learning_rate"]),
            momentum=float(arrays["sgd_momentum"]),
            weight_decay=float(arrays["weight_decay"]),
        )
    )
    logs = robust.train_on_batch(arrays["x"], arrays["y"], return_dict=True)
    np.testing.assert_allclose(
        logs["loss"], arrays["total_loss_f64"], rtol=1e-5
    )
    np.testing.assert_allclose(
        logs["natural_ce"], arrays["natural_ce"], rtol=1e-4
    )
    np.testing.assert_allclose(
        logs["robust_kl"],
        float(arrays["beta"] * arrays["robust_kl"]),
        rtol=1e-4,
    )
    after = {weight.path: weight.numpy() for weight in model.weights}
    trained = TRAINED[phase]
    for path, name in trained.items():
        expected = arrays[f"{phase}_after_{name}"]
        if path.endswith("kernel"):
            # Where we differ on purpose: the original's pruned weights decay.
            mask = arrays[f"mask_{path.split('/')[0]}"]
            expected = np.where(mask, expected, before[path])
            pruned = mask == 0
            np.testing.assert_array_equal(
                after[path][pruned], before[path][pruned]
            )
        np.testing.assert_allclose(after[path], expected, rtol=0, atol=1e-5)
        assert np.any(after[path] != before[path]), path
    for path in set(before) - set(trained):
        if "moving" not in path:
            np.testing.assert_array_equal(after[path], before[path])


def test_a_step_moves_running_statistics_once_per_training_pass():
    arrays, model, objective = batch_norm_case("finetune")
    robust = ht.RobustModel(model, objective)
    robust.compile(keras.optimizers.SGD(0.0))
    robust.train_on_batch(arrays["x"], arrays["y"])
    assert arrays["pass_is_adv"][1:3].tolist() == [0, 1]
    # Keras moves the running variance by the biased variance of the batch.
    for kind, batch_key in (
        ("moving_mean", "pass_batch_mean"),
        ("moving_variance", "pass_batch_var_biased"),
    ):
        golden_key = {"moving_mean": "mean", "moving_variance": "var"}[kind]
        expected = arrays[f"pass_moving_{golden_key}"][0]
        for index in (1, 2):  # Natural, then adversarial.
            expected = 0.9 * expected + 0.1 * arrays[batch_key][index]
        np.testing.assert_allclose(
            getattr(model.get_layer("bn"), kind), expected, rtol=0, atol=1e-5
        )
