"""What a course keeps is all that it goes on from."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from tests.pruning.courses import driven

METHODS = [
    "live_paths",
    "flying_bird",
    "flying_bird_plus",
    "robust_bird",
    "r_admm",
]


@pytest.mark.usefixtures("without_tracing")
@pytest.mark.parametrize("method", METHODS)
def test_resumed_course_is_the_uninterrupted_one(method):
    def logs(epoch):
        accuracies = {"robust_accuracy": 0.5, "val_robust_accuracy": -epoch}
        return {"loss": 1.0, **accuracies}

    course = driven.course_of(method, density=0.4, epochs=6)
    for epoch in range(3):
        driven.run_epoch(course, epoch, logs(epoch))
    resumed = driven.course_of(method, density=0.4, epochs=6)
    driven.restore(resumed, driven.state(course))
    for epoch in range(3, 6):
        for each in (course, resumed):
            figures = driven.run_epoch(each, epoch, logs(epoch))
    assert figures["density"] < 1
    for one, other in zip(
        driven.state(course), driven.state(resumed), strict=True
    ):
        np.testing.assert_array_equal(one, other)


class Stop(keras.callbacks.Callback):
    """Interrupts a phase after two epochs."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.usefixtures("with_tracing")  # Replicas gather in graphs alone.
@pytest.mark.parametrize(
    "method, strategy",
    [
        *((method, "none") for method in METHODS),
        ("live_paths", "mirrored"),
        ("flying_bird", "mirrored"),
        ("r_admm", "mirrored"),
    ],
)
def test_resumed_phase_ends_with_equal_weights(method, strategy, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.random((24, 6, 6, 4), np.float32)
    labels = np.arange(24) % 3

    def prune(folder, *callbacks):
        return ht.prune(
            driven.network(),
            (images, labels),
            ht.objectives.FGSM(epsilon=0.05),
            method=method,
            density=0.4,
            prune_epochs=5,
            finetune_epochs=0,
            # The ticket of a robust bird is drawn in the last of 4 epochs.
            validation=(images[:8], labels[:8]),
            select="best",
            strategy=strategy,
            folder=tmp_path / folder,
            callbacks=callbacks,
        )

    whole, history = prune("whole")
    with pytest.raises(KeyboardInterrupt):
        prune("parts", Stop())
    resumed, again = prune("parts")
    for name in ("loss", "density"):
        assert history["prune"][name] == again["prune"][name]
    assert history["prune"]["density"][-1] < 0.5
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    zeros = [np.mean(each.numpy() == 0) for each in whole.weights[::2]]
    assert all(share > 0.2 for share in zeros)
