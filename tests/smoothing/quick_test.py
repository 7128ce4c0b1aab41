import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import hydra_tf as ht
from hydra_tf.smoothing import sampling
from tests import golden
from tests.smoothing.networks import golden_net
from tests.smoothing.networks import stored_stream
from tests.smoothing.networks import two_classes

ARRAYS = golden.load("smoothing")
IMAGES, LABELS = ARRAYS["quick/images"], ARRAYS["quick/labels"]


@pytest.mark.parametrize("temperature", [1, 100])
@pytest.mark.parametrize("batch_size", [80, 7])
def test_quick_certification_matches_golden(
    temperature, batch_size, monkeypatch
):
    # Axis 0 of the golden noise counts the draws, ours are side by side.
    noise = np.swapaxes(ARRAYS["quick/noise"], 0, 1).reshape(80, 8, 8, 3)
    monkeypatch.setattr(sampling, "GaussianStream", stored_stream(noise))
    quick = ht.smoothing.quick_certify(
        golden_net(ARRAYS),
        IMAGES,
        float(ARRAYS["quick/sigma"]),
        num_draws=10,
        temperature=temperature,
        batch_size=batch_size,
    )
    prefix = f"quick/temp{temperature}"
    np.testing.assert_allclose(
        quick.probabilities, ARRAYS[f"{prefix}/mean_softmax"], atol=1e-4
    )
    right = quick.predictions == LABELS
    np.testing.assert_array_equal(right, ARRAYS[f"{prefix}/correct"])
    # Beyond this the largest mean is 1 up to rounding.
    finite = ARRAYS[f"{prefix}/radius"] < 0.6
    assert finite.sum() >= 6
    np.testing.assert_allclose(
        quick.radii[finite], ARRAYS[f"{prefix}/radius"][finite], atol=1e-4
    )
    assert np.all(quick.radii[~finite] >= 0.6)
    epsilon = ARRAYS["quick/eps"]
    assert np.sum(~right) == ARRAYS[f"{prefix}/errors"]
    robust = right & (quick.radii >= epsilon)
    assert np.sum(~robust) == ARRAYS[f"{prefix}/robust_errors"]


def test_certainty_has_a_finite_radius():
    sure = two_classes(lambda images: images[:, 0] * 0 + 1e6)
    quick = ht.smoothing.quick_certify(sure, np.zeros((2, 3), np.float32), 0.5)
    assert quick.probabilities[:, 0].tolist() == [1.0, 1.0]
    assert np.all(np.isfinite(quick.radii)) and np.all(quick.radii > 2.0)


def test_vote_of_many_draws_estimates_the_probability_of_the_class():
    # P(x + 0.5 z > 0) for x = 0.25 is Phi(0.5).
    model = two_classes(lambda images: images[:, 0])
    quick = ht.smoothing.quick_certify(
        model,
        np.full((1, 3), 0.25, np.float32),
        0.5,
        num_draws=4_000,
        temperature=1e6,
    )
    np.testing.assert_allclose(
        quick.probabilities[0, 0], stats.norm.cdf(0.5), atol=0.03
    )
    np.testing.assert_allclose(quick.radii, 0.25, atol=0.05)


class Spy(keras.callbacks.Callback):
    """Keeps the logs that callbacks after SmoothedAccuracy are given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(dict(logs))


def test_training_logs_smoothed_accuracy_and_mean_radius(capsys):
    robust = ht.RobustModel(
        golden_net(ARRAYS), ht.objectives.RandomizedSmoothing()
    )
    robust.compile(ht.training.SGD(0.01))
    watch = ht.smoothing.SmoothedAccuracy(
        IMAGES, LABELS[:, None], 0.25, batch_size=16, seed=5, every=2
    )
    spy = Spy()
    history = robust.fit(
        IMAGES, LABELS, epochs=4, callbacks=[watch, spy], verbose=0
    ).history
    assert len(history["smoothed_accuracy"]) == 2
    assert ["mean_radius" in logs for logs in spy.seen] == [False, True] * 2
    # Measured on the weights that the last epoch left.
    quick = ht.smoothing.quick_certify(
        robust.network, IMAGES, 0.25, seed=5, batch_size=16
    )
    right = quick.predictions == LABELS
    assert history["smoothed_accuracy"][-1] == right.mean()
    np.testing.assert_allclose(
        history["mean_radius"][-1],
        np.mean(right * np.maximum(quick.radii, 0)),
        rtol=1e-6,
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.0}, "`sigma` must be a number > 0"),
        ({"num_draws": 0}, "`num_draws` must be a whole number >= 1"),
        ({"temperature": 0.0}, "`temperature` must be a number > 0"),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1"),
        ({"x": IMAGES[:0]}, "`x` must hold one image or more"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"x": IMAGES, "sigma": 0.25, **change}
    with pytest.raises(ht.InputError, match=message):
        ht.smoothing.quick_certify(tf.identity, **arguments)
    with pytest.raises(ht.InputError, match=message):
        ht.smoothing.SmoothedAccuracy(y=LABELS, **arguments)


def test_labels_must_fit_the_images():
    with pytest.raises(ht.InputError, match="3 labels, 8 images"):
        ht.smoothing.SmoothedAccuracy(IMAGES, LABELS[:3], 0.25)
    with pytest.raises(
        ht.InputError, match="`every` must be a whole number >= 1"
    ):
        ht.smoothing.SmoothedAccuracy(IMAGES, LABELS, 0.25, every=0)
