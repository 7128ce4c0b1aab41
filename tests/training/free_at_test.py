"""Free-AT trains as a loop written by hand does, in all three phases."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.errors import InputError
from tests.training import distribution_test as distribution

RNG = np.random.default_rng(0)
X = RNG.random((7, 6), dtype=np.float32)
Y = np.arange(7) % 3
EPSILON, STEP, REPEATS, RATE = 0.1, 0.06, 3, 0.5
HIDDEN, DENSITY = 8, 0.4


def objective(**changes):
    settings = {"epsilon": EPSILON, "step_size": STEP, "n_repeats": REPEATS}
    return ht.objectives.FreeAT(**(settings | changes))


def model(phase="pretrain"):
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(HIDDEN, activation="relu", name="first"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    if phase != "pretrain":
        network = ht.start_pruning(network, density=DENSITY)
        ht.set_phase(network, phase)
    return network


def batches():
    """The last one is smaller."""
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)


def mask_of(scores):
    """Zeros and ones in NumPy: the largest, as many as DENSITY rounds up to."""
    kept = int(np.ceil(round(DENSITY * scores.size, 6)))
    order = np.argsort(-np.abs(scores).ravel(), kind="stable")[:kept]
    mask = np.zeros(scores.size, np.float32)
    mask[order] = 1.0
    return mask.reshape(scores.shape)


def gradients_of(kernels, biases, x, labels):
    """Forward and backward pass of the network in NumPy, float64."""
    hidden = x @ kernels[0] + biases[0]
    active = np.maximum(hidden, 0)
    logits = active @ kernels[1] + biases[1]
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    slope = shifted / shifted.sum(1, keepdims=True) - np.eye(3)[labels]
    slope /= len(x)
    back = (slope @ kernels[1].T) * (hidden > 0)
    return (
        [x.T @ back, active.T @ slope],
        [back.sum(0), slope.sum(0)],
        back @ kernels[0].T,
    )


def by_hand(network, phase, epochs, stay_in_range=False):
    """Algorithm 1 of Shafahi et al., with the masks of HYDRA's phases."""

    def carried(x):
        inside = np.clip(x + noise[: len(x)], 0, 1) - x
        return inside if stay_in_range else noise[: len(x)]

    layers = [network.get_layer(name) for name in ("first", "last")]
    kernels = [np.asarray(layer.kernel, np.float64) for layer in layers]
    biases = [np.asarray(layer.bias, np.float64) for layer in layers]
    scores = [np.ones(kernel.shape) for kernel in kernels]
    if phase != "pretrain":
        scores = [np.asarray(layer.scores, np.float64) for layer in layers]
    noise = np.zeros((4, 6))
    for _ in range(epochs):
        for first in range(0, len(X), 4):
            x, labels = X[first : first + 4], Y[first : first + 4]
            noise[: len(x)] = carried(x)
            for _ in range(REPEATS):
                masks = [1.0, 1.0]
                if phase != "pretrain":
                    masks = [mask_of(each) for each in scores]
                seen = np.clip(x + noise[: len(x)], 0, 1)
                of_kernels, of_biases, of_images = gradients_of(
                    [k * m for k, m in zip(kernels, masks, strict=True)],
                    biases,
                    seen,
                    labels,
                )
                # Nothing flows where the image range cuts the noise off.
                inside = stay_in_range | (seen == x + noise[: len(x)])
                noise[: len(x)] += STEP * np.sign(of_images * inside)
                noise = np.clip(noise, -EPSILON, EPSILON)
                noise[: len(x)] = carried(x)
                for layer, slope in enumerate(of_kernels):
                    if phase == "prune":
                        up = slope * kernels[layer] * np.sign(scores[layer])
                        scores[layer] = scores[layer] - RATE * up
                    else:
                        slope = slope * masks[layer]
                        kernels[layer] = kernels[layer] - RATE * slope
                        biases[layer] = biases[layer] - RATE * of_biases[layer]
    return kernels, biases, scores, noise


@pytest.mark.usefixtures("without_tracing")
@pytest.mark.parametrize(
    ("phase", "stay_in_range"),
    [
        ("pretrain", False),
        ("prune", False),
        ("finetune", False),
        ("pretrain", True),
    ],
)
def test_trains_as_the_algorithm_says(phase, stay_in_range):
    network = model(phase)
    kernels, biases, scores, noise = by_hand(network, phase, 2, stay_in_range)
    robust = ht.RobustModel(network, objective(stay_in_range=stay_in_range))
    robust.compile(keras.optimizers.SGD(RATE))
    logs = robust.fit(batches(), epochs=2, verbose=0).history
    assert robust.optimizer.iterations == 2 * 2 * REPEATS
    for layer, kernel, bias, score in zip(
        map(network.get_layer, ("first", "last")),
        kernels,
        biases,
        scores,
        strict=True,
    ):
        np.testing.assert_allclose(layer.kernel, kernel, atol=1e-5)
        np.testing.assert_allclose(layer.bias, bias, atol=1e-5)
        if phase != "pretrain":
            np.testing.assert_allclose(layer.scores, score, atol=1e-5)
    (carried,) = robust.carried.variables
    np.testing.assert_allclose(carried, noise, atol=1e-6)
    assert np.max(np.abs(carried)) == pytest.approx(EPSILON)
    assert {"loss", "robust_ce", "natural_accuracy"} < set(logs)


@pytest.mark.usefixtures("without_tracing")
def test_first_replay_is_on_the_images_themselves():
    """One replay of a step of 0 is natural training."""
    found = []
    for each in (ht.objectives.Natural(), objective(n_repeats=1, step_size=0)):
        robust = ht.RobustModel(model(), each)
        robust.compile(keras.optimizers.SGD(RATE))
        robust.fit(batches(), verbose=0)
        found.append(robust.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def run(folder=None, **options):
    """Returns the weights after a phase of two epochs."""
    network = ht.training.run_phase(
        model(),
        "pretrain",
        batches(),
        objective(),
        epochs=2,
        folder=folder,
        lr_schedule="one_cycle",
        **options,
    )
    return np.concatenate([np.ravel(w) for w in network.get_weights()])


@pytest.mark.usefixtures("without_tracing")
def test_resumed_phase_ends_with_the_same_weights(tmp_path):
    def stop(epoch, logs):
        raise interrupts.Interrupted(15)

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(interrupts.Interrupted):
        run(tmp_path, callbacks=[stopping])
    np.testing.assert_array_equal(run(), run(tmp_path))


@pytest.mark.usefixtures("without_tracing")
def test_learning_rates_follow_the_updates():
    rates = []

    def note(batch, logs):
        rates.append(float(noting.model.optimizer.learning_rate))

    noting = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    run(callbacks=[noting])
    # Of 12 updates the fourth has the peak, and the last ends at 0.
    assert np.argmax(rates) == 0
    assert rates[-1] < 1e-6 < 0.01 < rates[-2]


@pytest.mark.slow
@pytest.mark.usefixtures("with_tracing")
def test_graphs_train_as_single_operations_and_several_steps_a_call():
    found = []
    for options in (
        {"run_eagerly": True},
        {"run_eagerly": False},
        {"steps_per_execution": 2},
    ):
        robust = ht.RobustModel(model(), objective())
        robust.compile(ht.training.SGD(RATE, momentum=0.9), **options)
        robust.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        found.append([*robust.get_weights(), *robust.carried.variables])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("with_tracing")
@pytest.mark.parametrize("num_images", [8, 7, 5])
def test_two_replicas_train_like_one_device(num_images):
    each = ht.objectives.FreeAT(epsilon=0.1, n_repeats=2)
    models = [
        distribution.make_robust(strategy, "prune", each)
        for strategy in (distribution.one_device(), distribution.two_replicas())
    ]
    distribution.assert_same_training(*models, num_images)
    one, two = (np.asarray(robust.carried.variables[0]) for robust in models)
    assert one.shape == (4, 6, 6, 1) and np.any(one)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("without_tracing")
def test_perturbation_is_saved_with_the_model(tmp_path):
    robust = ht.RobustModel(model(), objective())
    robust.compile(ht.training.SGD(RATE))
    robust.train_on_batch(X[:4], Y[:4])
    robust.save(tmp_path / "robust.keras")
    again = keras.saving.load_model(tmp_path / "robust.keras")
    assert np.any(robust.carried.variables[0])
    np.testing.assert_array_equal(
        again.carried.variables[0], robust.carried.variables[0]
    )


def test_images_need_one_size():
    inputs = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    network = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    with pytest.raises(InputError, match="images of one size"):
        ht.RobustModel(network, objective())
