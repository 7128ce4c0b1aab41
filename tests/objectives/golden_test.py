"""Objectives against the losses and gradients of the original systems."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import objectives
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import batch_norm_net
from tests.tiny_net import set_statistics
from tests.tiny_net import tiny_net


def attack_settings(arrays):
    return {
        "epsilon": float(arrays["epsilon"]),
        "step_size": float(arrays["step_size"]),
        "num_steps": int(arrays["num_steps"]),
    }


def assert_gradient(actual, expected):
    """Within 1e-4 of the largest entry of the golden gradient."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )


def compiled_loss_and_gradients(objective, model, arrays, perturbed):
    """Returns the loss and its gradients by the path of each weight."""

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = objective.loss(
                model, arrays["x"], arrays["y"], perturbed, training=True
            )
        weights = [w.value for w in model.trainable_variables]
        return loss, tape.gradient(loss, weights)

    loss, gradients = step()
    names = [w.path for w in model.trainable_variables]
    return loss, dict(zip(names, gradients, strict=True))


def assert_finetune_gradients(gradients, arrays, prefix):
    for name in LAYERS:
        assert_gradient(
            gradients[f"{name}/kernel"] * arrays[f"mask_{name}"],
            arrays[f"{prefix}_{name}_kernel"],
        )
        assert_gradient(
            gradients[f"{name}/bias"], arrays[f"{prefix}_{name}_bias"]
        )


def assert_prune_gradients(gradients, arrays, prefix):
    """Score gradients are w * (d loss / d effective w) * sign(score)."""
    for name in LAYERS:
        assert_gradient(
            gradients[f"{name}/kernel"]
            * arrays[f"{name}_kernel"]
            * np.sign(arrays[f"{name}_scores"]),
            arrays[f"{prefix}_{name}_scores"],
        )


def test_trades_matches_golden():
    arrays = golden.load("trades")
    model = tiny_net(arrays, masked=True)
    objective = objectives.TRADES(
        beta=float(arrays["beta"]), **attack_settings(arrays)
    )
    perturbed = objective.perturb(
        model,
        arrays["x"],
        arrays["y"],
        start=arrays["x"] + 0.001 * arrays["n0"],
    )
    np.testing.assert_allclose(
        perturbed, arrays["x_adv_steps"][-1], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        model(perturbed), arrays["logits_adv"], atol=1e-4
    )
    terms = objective.losses(model, arrays["x"], arrays["y"], perturbed).terms
    assert set(terms) == {"natural_ce", "robust_kl"}
    np.testing.assert_allclose(
        terms["natural_ce"], arrays["natural_ce_f64"], rtol=1e-5
    )
    np.testing.assert_allclose(
        terms["robust_kl"] / objective.beta, arrays["robust_kl_f64"], rtol=1e-4
    )
    loss, gradients = compiled_loss_and_gradients(
        objective, model, arrays, perturbed
    )
    np.testing.assert_allclose(loss, arrays["total_loss_f64"], rtol=1e-5)
    assert_finetune_gradients(gradients, arrays, "finetune_grad")
    assert_prune_gradients(gradients, arrays, "prune_grad")


def test_l2_trades_matches_golden():
    arrays = golden.load("trades")
    model = tiny_net(arrays, masked=True)
    objective = objectives.TRADES(
        beta=float(arrays["beta"]),
        epsilon=float(arrays["l2_epsilon"]),
        num_steps=int(arrays["num_steps"]),
        threat_model="l2",
    )
    perturbed = objective.perturb(
        model,
        arrays["x"],
        arrays["y"],
        start=arrays["x"] + 0.001 * arrays["n0"],
    )
    np.testing.assert_allclose(
        perturbed, arrays["l2_x_adv_steps"][-1], rtol=0, atol=1e-4
    )
    terms = objective.losses(model, arrays["x"], arrays["y"], perturbed).terms
    np.testing.assert_allclose(
        terms["natural_ce"], arrays["l2_natural_ce"], rtol=1e-4
    )
    np.testing.assert_allclose(
        terms["robust_kl"] / objective.beta, arrays["l2_robust_kl"], rtol=1e-4
    )
    loss, gradients = compiled_loss_and_gradients(
        objective, model, arrays, perturbed
    )
    np.testing.assert_allclose(loss, arrays["l2_total_loss"], rtol=1e-4)
    assert_prune_gradients(gradients, arrays, "l2_prune_grad")


@pytest.mark.parametrize("name", ["madry", "mart", "fgsm"])
def test_other_objectives_match_golden(name):
    arrays = golden.load("pgd")
    model = tiny_net(arrays, masked=True)
    settings = attack_settings(arrays)
    if name == "fgsm":
        # The original trains with one step of step_size.
        settings = {"epsilon": settings["step_size"]}
    if name == "mart":
        settings["beta"] = float(arrays["mart_beta"])
    start = {
        "madry": arrays["x"] + arrays["start_uniform"],
        "mart": arrays["x"] + 0.001 * arrays["start_normal"],
        "fgsm": None,
    }[name]
    objective = objectives.create(name, **settings)
    perturbed = objective.perturb(model, arrays["x"], arrays["y"], start=start)
    np.testing.assert_allclose(
        perturbed, arrays[f"{name}_x_adv"], rtol=0, atol=1e-6
    )
    loss, gradients = compiled_loss_and_gradients(
        objective, model, arrays, perturbed
    )
    np.testing.assert_allclose(loss, arrays[f"{name}_loss_f64"], rtol=1e-5)
    assert_finetune_gradients(gradients, arrays, f"{name}_finetune_grad")
    assert_prune_gradients(gradients, arrays, f"{name}_prune_grad")


def test_trades_with_batch_norm_matches_golden():
    arrays = golden.load("batchnorm")
    model = batch_norm_net(arrays, masked=True)
    objective = objectives.TRADES(
        beta=float(arrays["beta"]), **attack_settings(arrays)
    )
    # The original's first pass moves the statistics before the attack.
    set_statistics(
        model,
        arrays["pass_moving_mean"][0],
        arrays["pass_moving_var"][0],
        arrays,
    )
    perturbed = objective.perturb(
        model,
        arrays["x"],
        arrays["y"],
        start=arrays["x"] + 0.001 * arrays["n0"],
    )
    np.testing.assert_allclose(perturbed, arrays["x_adv"], rtol=0, atol=1e-6)
    normalization = model.get_layer("bn")
    np.testing.assert_array_equal(  # The attack moves no statistics.
        normalization.moving_mean, arrays["pass_moving_mean"][0]
    )
    loss, gradients = compiled_loss_and_gradients(
        objective, model, arrays, perturbed
    )
    np.testing.assert_allclose(loss, arrays["total_loss_f64"], rtol=1e-5)
    for name in ("conv", "dense"):
        kernel_gradient = gradients[f"{name}/kernel"]
        assert_gradient(
            kernel_gradient * arrays[f"mask_{name}"],
            arrays[f"finetune_grad_{name}_kernel"],
        )
        assert_gradient(
            kernel_gradient
            * arrays[f"{name}_kernel"]
            * np.sign(arrays[f"{name}_scores"]),
            arrays[f"prune_grad_{name}_scores"],
        )
    for phase in ("finetune", "prune"):
        for ours, golden_name in (("gamma", "bn_gamma"), ("beta", "bn_beta")):
            assert_gradient(
                gradients[f"bn/{ours}"],
                arrays[f"{phase}_grad_{golden_name}"],
            )
    assert_gradient(gradients["dense/bias"], arrays["finetune_grad_dense_bias"])
    # Two training passes: one natural, then one adversarial batch, each of
    # which moves the running mean once.
    moved = arrays["pass_moving_mean"][0]
    for index in (1, 2):
        moved = 0.9 * moved + 0.1 * arrays["pass_batch_mean"][index]
    assert arrays["pass_is_adv"][1:3].tolist() == [0, 1]
    np.testing.assert_allclose(normalization.moving_mean, moved, atol=1e-5)


def test_mixed_precision_keeps_the_loss_in_float32():
    arrays = golden.load("trades")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny_net(arrays, masked=True)
    finally:
        keras.config.set_dtype_policy("float32")
    for name in objectives.names():
        objective = objectives.create(name)
        loss = objective(model, arrays["x"], arrays["y"], seed=0)
        assert loss.dtype == tf.float32
        assert np.isfinite(loss)
