"""Figures of files that were made of a network."""

import keras
import numpy as np
import pytest

from hydra_tf.errors import InputError
from hydra_tf.evaluation import ArtifactEvaluation
from hydra_tf.evaluation import latency


def network():
    model = keras.Sequential(
        [keras.Input((2, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.layers[-1].set_weights([np.eye(2), np.zeros(2)])
    return model


# The class is that of the larger pixel.
IMAGES = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.48, 0.52]], np.float32
).reshape(4, 2, 1, 1)
LABELS = [0, 0, 1, 0]


def exact(images):
    return images.reshape(-1, 2)


def swapped(images):
    return images.reshape(-1, 2)[:, ::-1]


@pytest.fixture(scope="module")
def measured():
    return ArtifactEvaluation(
        network(),
        IMAGES,
        LABELS,
        epsilon=0.1,
        num_steps=5,
        num_queries=20,
        batch_size=3,
    )


def test_a_faithful_file_has_the_figures_of_the_network(measured):
    figures = measured.measure(exact)
    assert figures.natural_accuracy == 0.75
    # Of the three that are right one is too close to the border.
    assert figures.transferred_accuracy == 0.5
    assert figures.square_accuracy == 0.5
    assert figures.agreement == 1.0
    assert [each.batch_size for each in figures.latencies] == [1, 3]
    assert all(0 < each.median <= each.p95 for each in figures.latencies)
    assert figures.to_dict()["num_examples"] == 4


def test_another_function_has_others(measured):
    figures = measured.measure(swapped, timed=False)
    assert figures.natural_accuracy == 0.25
    assert figures.agreement == 0.0
    # What fools the network suits this one.
    assert figures.transferred_accuracy == 0.5
    assert figures.square_accuracy == 0.0
    assert figures.latencies == ()


def test_a_slow_call_is_timed_less_often():
    calls = []
    found = latency(lambda images: calls.append(len(images)), IMAGES)
    assert found.batch_size == 4
    assert len(calls) <= 60


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="`epsilon`"):
        ArtifactEvaluation(network(), IMAGES, LABELS, epsilon=-1)
    with pytest.raises(InputError, match="`labels`"):
        ArtifactEvaluation(network(), IMAGES, [0], epsilon=0.1)
