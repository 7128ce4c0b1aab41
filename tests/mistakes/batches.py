"""Batches, labels and machinery of Keras that `fit` cannot mean so."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht


def scaled(given, dtype=None):
    """Returns a network for pixels of 0..255."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype=dtype),
            keras.layers.Rescaling(1 / 255),
            *given.network().layers,
        ]
    )


def two_inputs():
    image, age = keras.Input((4, 4, 1), name="image"), keras.Input((2,))
    x = keras.layers.Flatten()(image)
    x = keras.layers.Concatenate()([x, age])
    return keras.Model([image, age], keras.layers.Dense(3)(x))


def fit(objective, y):
    """Returns a row's function: `fit` with an objective and labels."""

    def mistake(given):
        robust = ht.RobustModel(given.network(), objective())
        robust.compile("sgd")
        robust.fit(given.images, y(given.labels), verbose=0)

    return mistake


def fit_batches(change, **settings):
    """Returns a row's function: `fit` on a dataset that is not as it was."""

    def mistake(given):
        objective = ht.objectives.Natural(**settings)
        robust = ht.RobustModel(given.network(), objective)
        robust.compile("sgd")
        robust.fit(change(given.dataset()), verbose=0)

    return mistake


def ends_in(*layers):
    """Returns a row's function: `fit` of a network with another end."""

    def mistake(given):
        network = keras.Sequential([*given.network().layers, *layers])
        network.build((None, 4, 4, 1))
        given.robust(network).fit(given.images, given.labels, verbose=0)

    return mistake


def run_phase(given, objective, train=None, network=None, **settings):
    ht.training.run_phase(
        network or given.network(),
        "pretrain",
        (given.images, given.labels) if train is None else train,
        objective,
        epochs=1,
        folder=given.folder / "run",
        **settings,
    )


class OwnLoss(ht.objectives.Natural):
    def loss(self, model, x, y, perturbed, training=True):
        return super().loss(model, x, y, perturbed, training)


def weighted(given):
    robust = ht.RobustModel(given.network(), OwnLoss())
    robust.compile("sgd", run_eagerly=True)
    robust.fit(given.images, given.labels, sample_weight=np.ones(12), verbose=0)


def ramp():
    epsilon = ht.schedules.LinearRamp(0, 2, first=0.0, last=0.1)
    return ht.objectives.IBP(epsilon=epsilon)


PYTHON = {
    "batches_epsilon_of_0_to_1_for_0_to_255": (
        lambda given: ht.RobustModel(
            scaled(given), ht.objectives.TRADES(clip=(0, 255))
        ),
        ["takes pixels of 0..255", "epsilon=8,", "epsilon=0.0313725"],
    ),
    "batches_epsilon_of_0_to_1_for_a_clip_of_255": (
        lambda given: ht.RobustModel(
            given.network(), ht.objectives.TRADES(clip=(0, 255), epsilon=0.1)
        ),
        ["`clip` is (0, 255)", "epsilon=25.5"],
    ),
    "batches_sigma_of_0_to_1_for_0_to_255": (
        lambda given: ht.RobustModel(
            scaled(given), ht.objectives.RandomizedSmoothing(clip=(0, 255))
        ),
        ["takes pixels of 0..255", "sigma=63.75"],
    ),
    "batches_input_of_uint8": (
        lambda given: ht.RobustModel(
            scaled(given, "uint8"),
            ht.objectives.TRADES(clip=(0, 255), epsilon=8),
        ),
        ["`network` has an input of dtype uint8", "keras.Input(shape)"],
    ),
    "batches_arrays_for_a_clip_of_255": (
        lambda given: run_phase(
            given, ht.objectives.TRADES(clip=(0, 255), epsilon=8)
        ),
        ["`train` must be a tf.data.Dataset", "Rescaling(255.0)"],
    ),
    "batches_measured_as_0_to_255": (
        lambda given: ht.evaluation.evaluate(
            scaled(given), (255 * given.images).astype(np.uint8), given.labels
        ),
        ["`model` takes pixels of 0..255", "Rescaling(255.0)"],
    ),
    "batches_soft_labels_for_mart": (
        fit(
            lambda: ht.objectives.MART(num_steps=1),
            lambda y: np.eye(3)[y] / 2 + 1 / 6,
        ),
        ["one class per image for MART", "TRADES"],
    ),
    "batches_labels_that_are_logits": (
        fit(ht.objectives.TRADES, lambda y: 4 * np.eye(3)[y] - 2),
        ["`y` must hold class indices", "sum to 1", "[2, -2, -2]"],
    ),
    "batches_weights_for_an_own_loss": (
        weighted,
        ["`losses` has the argument `sample_weight`", "OwnLoss"],
    ),
    "batches_dictionary_without_labels": (
        fit_batches(
            lambda data: data.map(lambda x, y: {"image": x, "digit": y})
        ),
        ["needs labels", "as 'label'", "'digit'"],
    ),
    "batches_dictionary_without_images": (
        fit_batches(
            lambda data: data.map(lambda x, y: {"a": x, "b": x, "label": y})
        ),
        ["the images as", "'image'", "'a' and 'b'"],
    ),
    "batches_without_end": (
        fit_batches(lambda data: data.repeat()),
        ["`steps_per_epoch` is required", "without end"],
    ),
    "batches_of_unknown_number_with_a_schedule": (
        lambda given: ht.RobustModel(given.network(), ramp()).fit(
            given.dataset().filter(lambda x, y: True), verbose=0
        ),
        ["`steps_per_epoch` is required", "`epsilon`", "assert_cardinality"],
    ),
    "batches_softmax_behind_a_cast": (
        ends_in(
            keras.layers.Softmax(name="odds"),
            keras.layers.Activation("linear", dtype="float32"),
        ),
        ["ends in a softmax, layer 'odds'", "leave that layer out"],
    ),
    "batches_softmax_in_a_lambda": (
        ends_in(keras.layers.Lambda(lambda x: tf.nn.softmax(x))),
        ["`network` returns probabilities", "leave its softmax out"],
    ),
    "batches_attacked_input_unnamed": (
        lambda given: ht.RobustModel(two_inputs(), given.objective()),
        ["`network` has 2 inputs", "attacked_input='image'"],
    ),
    "batches_attacked_input_misspelt": (
        lambda given: ht.RobustModel(
            two_inputs(), given.objective(), attacked_input="images"
        ),
        ["`attacked_input` must be an input", "Did you mean 'image'"],
    ),
    "batches_attacked_input_in_a_pair_of_arrays": (
        lambda given: run_phase(
            given,
            given.objective(),
            network=two_inputs(),
            attacked_input="image",
        ),
        ["`train` must be a tf.data.Dataset of dictionaries"],
    ),
    "batches_attacked_input_for_bounds": (
        lambda given: ht.RobustModel(
            two_inputs(), ht.objectives.IBP(), attacked_input="image"
        ),
        ["`attacked_input`", "train by an attack"],
    ),
}
