import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net

ARRAYS = golden.load("stability")


def golden_net(name):
    """Returns N1, or N1m with its masks as they stand in the golden file."""
    prefix = "N1" if name == "N1" else "N1m"
    weights = {}
    for layer in LAYERS:
        kind = "kernel" if name == "N1" else "kernel_dense"
        weights[f"{layer}_kernel"] = ARRAYS[f"{prefix}/{layer}/{kind}"]
        weights[f"{layer}_bias"] = ARRAYS[f"{prefix}/{layer}/bias"]
    return tiny_net(weights)


def masked_net(phase):
    model = ht.to_masked(golden_net("N1m"))
    for name, layer in ht.masked_layers(model).items():
        layer.scores.assign(ARRAYS[f"N1m/{name}/scores"])
    ht.set_density(model, 0.3)
    ht.set_phase(model, phase)
    for name, layer in ht.masked_layers(model).items():
        np.testing.assert_array_equal(layer.mask, ARRAYS[f"N1m/{name}/mask"])
    return model


def stability():
    return ht.objectives.RandomizedSmoothing(
        sigma=float(ARRAYS["noise_std"]), beta=float(ARRAYS["beta"])
    )


def noisy():
    return stability().perturb(
        None, ARRAYS["images"], None, noise=ARRAYS["noise"]
    )


def loss_and_gradients(model):
    objective = stability()

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = objective.loss(
                model, ARRAYS["images"], ARRAYS["labels"], noisy()
            )
        weights = [weight.value for weight in model.trainable_variables]
        return loss, tape.gradient(loss, weights)

    loss, gradients = step()
    paths = [weight.path for weight in model.trainable_variables]
    return loss, dict(zip(paths, gradients, strict=True))


def assert_gradient(actual, expected):
    """Within 1e-4 of the largest entry of the golden gradient."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", ["N1", "N1m"])
def test_loss_and_gradients_match_golden(name):
    model = golden_net("N1") if name == "N1" else masked_net("finetune")
    terms = (
        stability()
        .losses(model, ARRAYS["images"], ARRAYS["labels"], noisy())
        .terms
    )
    np.testing.assert_allclose(
        terms["natural_ce"], ARRAYS[f"{name}/clean_ce"], rtol=1e-5
    )
    np.testing.assert_allclose(
        terms["robust_kl"] / 6, ARRAYS[f"{name}/kl_mean"], rtol=1e-4
    )
    loss, gradients = loss_and_gradients(model)
    np.testing.assert_allclose(loss, ARRAYS[f"{name}/loss"], rtol=1e-5)
    assert len(gradients) == 2 * len(LAYERS)
    for layer in LAYERS:
        for kind in ("kernel", "bias"):
            assert_gradient(
                gradients[f"{layer}/{kind}"],
                ARRAYS[f"{name}/grad/{layer}/{kind}"],
            )


def test_score_gradients_match_golden():
    loss, gradients = loss_and_gradients(masked_net("prune"))
    np.testing.assert_allclose(loss, ARRAYS["N1m/loss"], rtol=1e-5)
    assert len(gradients) == len(LAYERS)
    for layer in LAYERS:
        assert_gradient(
            gradients[f"{layer}/scores"], ARRAYS[f"N1m/grad_scores/{layer}"]
        )


def test_noise_form_is_cross_entropy_on_the_noisy_images():
    objective = ht.objectives.RandomizedSmoothing(form="noise")
    assert objective.term_names == ("robust_ce",)
    terms = objective.losses(
        golden_net("N1"), ARRAYS["images"], ARRAYS["labels"], noisy()
    ).terms
    logits = ARRAYS["N1/logits_noisy"].astype(np.float64)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    picked = log_softmax[np.arange(len(logits)), ARRAYS["labels"]]
    assert set(terms) == {"robust_ce"}
    np.testing.assert_allclose(terms["robust_ce"], -picked.mean(), rtol=1e-5)


def test_perturbs_by_gaussian_noise_that_is_not_clipped():
    objective = ht.objectives.RandomizedSmoothing(sigma=0.5)
    x = np.ones((64, 8, 8, 3), np.float32)
    noise = (objective.perturb(None, x, None, seed=3) - x).numpy()
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.02
    assert noise.max() > 1.0
    again = objective.perturb(None, x, None, seed=3) - x
    np.testing.assert_array_equal(noise, again)
    assert np.mean(noise != objective.perturb(None, x, None, seed=4) - x) > 0.9


@pytest.mark.parametrize("phase", ["pretrain", "prune", "finetune"])
@pytest.mark.parametrize("form", ["stability", "noise"])
def test_robust_model_trains_with_it_in_every_phase(phase, form):
    model = masked_net("finetune")
    ht.set_phase(model, phase)
    objective = ht.objectives.RandomizedSmoothing(form=form)
    robust = ht.RobustModel(model, objective)
    robust.compile(ht.training.SGD(0.01))
    logs = robust.train_on_batch(
        ARRAYS["images"], ARRAYS["labels"], return_dict=True
    )
    assert set(objective.term_names) <= set(logs)
    assert np.isfinite(logs["loss"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0.0}, "`sigma` must be a number > 0"),
        ({"sigma": -1.0}, "`sigma` must be a number > 0"),
        ({"sigma": float("nan")}, "`sigma` must be a number > 0"),
        ({"beta": -1.0}, "`beta` must be a number >= 0"),
        ({"form": "noisy"}, "Did you mean 'noise'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ht.InputError, match=message):
        ht.objectives.RandomizedSmoothing(**settings)


def test_settings_survive_a_round_trip():
    objective = ht.objectives.create(
        "smoothing", sigma=0.12, beta=2.0, form="noise"
    )
    twin = type(objective).from_config(objective.get_config())
    assert (twin.sigma, twin.beta, twin.form) == (0.12, 2.0, "noise")
    assert twin.term_names == ("robust_ce",)
