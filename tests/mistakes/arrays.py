"""Images, labels and networks that cannot be what was meant."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht


def fit(x=None, y=None, **changes):
    """Returns a row's function: `fit` with one array changed."""

    def mistake(given):
        images = given.images if x is None else x(given.images)
        labels = given.labels if y is None else y(given.labels)
        given.robust().fit(images, labels, verbose=0, **changes)

    return mistake


def pgd(x=None, y=None, network=None, **settings):
    """Returns a row's function: the same with `pgd`."""

    def mistake(given):
        ht.attacks.pgd(
            network(given) if network else given.network(),
            given.images if x is None else x(given.images),
            given.labels if y is None else y(given.labels),
            **{"epsilon": 0.1, "step_size": 0.1, "num_steps": 1} | settings,
        )

    return mistake


def dataset(x=None, y=None, batch=4):
    """Returns a row's function: `fit` on batches with one array changed."""

    def mistake(given):
        images = given.images if x is None else x(given.images)
        labels = given.labels if y is None else y(given.labels)
        pairs = tf.data.Dataset.from_tensor_slices((images, labels))
        given.robust().fit(pairs.batch(batch) if batch else pairs, verbose=0)

    return mistake


def run_phase(given, images, labels, **changes):
    train = changes.pop("train", (images, labels))
    arguments = {"objective": given.objective(), "epochs": 1} | changes
    ht.training.run_phase(
        given.network(),
        "pretrain",
        train,
        folder=given.folder / "run",
        **arguments,
    )


def spoilt(images):
    images = images.copy()
    images[3, 1, 2] = np.nan
    return images


def sum_of_two_inputs():
    pair = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(pair, keras.layers.Dense(3)(keras.layers.Add()(pair)))


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "arrays_fit_pixels_of_255": (
        fit(x=lambda x: 255 * x),
        ["`x` must lie in [0, 1]", "divide pixels of 0..255 by 255"],
    ),
    "arrays_fit_uint8": (
        fit(x=lambda x: (255 * x).astype(np.uint8)),
        ["`x` must hold float images", "by 255", "dtype=uint8"],
    ),
    "arrays_fit_from_minus_1": (
        fit(x=lambda x: 2 * x - 1),
        ["`x` must lie in [0, 1]", "layer of the network", "`clip`"],
    ),
    "arrays_fit_nan": (
        fit(x=spoilt),
        ["`x` must lie in [0, 1]", "1 of 192 values are nan"],
    ),
    "arrays_fit_texts": (
        fit(x=lambda x: x.astype(str)),
        ["`x` must hold float images", "dtype=str"],
    ),
    "arrays_fit_wrong_size": (
        fit(x=lambda x: x[:, :3]),
        ["`x` must have the shape (batch, 4, 4, 1)", "(12, 3, 4, 1)"],
    ),
    "arrays_fit_empty": (
        fit(x=lambda x: x[:0], y=lambda y: y[:0]),
        ["`x` must hold one image or more", "(0, 4, 4, 1)"],
    ),
    "arrays_fit_fewer_labels": (
        fit(y=lambda y: y[:11]),
        ["`y` must hold one label for each image", "11 labels, 12 images"],
    ),
    "arrays_fit_half_labels": (
        fit(y=lambda y: y + 0.5),
        ["`y` must hold class indices, whole numbers", "0.5"],
    ),
    "arrays_fit_one_hot": (
        fit(y=lambda y: np.eye(4)[y]),
        ["`y` must hold class indices", "shape (batch, 3)", "3 logits"],
    ),
    "arrays_fit_labels_from_1": (
        fit(y=lambda y: y + 1),
        ["`y` must hold classes from 0 to 2", "3 logits", "Received: 3"],
    ),
    "arrays_fit_label_below_0": (
        fit(y=lambda y: y - 1),
        ["`y` must hold classes from 0 to 2", "Received: -1"],
    ),
    "arrays_fit_names_as_labels": (
        fit(y=lambda y: np.array(["cat", "dog", "owl"])[y]),
        ["`y` must hold class indices as integers", "dtype=str"],
    ),
    "arrays_fit_without_labels": (
        lambda given: given.robust().fit(given.images, verbose=0),
        ["needs labels", "pass `y`"],
    ),
    "arrays_fit_validation_pixels_of_255": (
        lambda given: given.robust().fit(
            given.images,
            given.labels,
            validation_data=(255 * given.images, given.labels),
            verbose=0,
        ),
        ["`x` must lie in [0, 1]", "by 255"],
    ),
    "arrays_evaluate_pixels_of_255": (
        lambda given: given.robust().evaluate(
            255 * given.images, given.labels, verbose=0
        ),
        ["`x` must lie in [0, 1]", "by 255"],
    ),
    "arrays_dataset_pixels_of_255": (
        dataset(x=lambda x: 255 * x),
        ["`images of x`", "must lie in [0, 1]", "by 255"],
    ),
    "arrays_dataset_label_out_of_range": (
        dataset(y=lambda y: y + 3),
        ["`labels of x`", "classes from 0 to 2", "Received: 3"],
    ),
    "arrays_dataset_later_label_out_of_range": (
        dataset(y=lambda y: np.where(np.arange(12) == 11, 7, y)),
        ["`y` must hold classes from 0 to 2", "Received: 7"],
    ),
    "arrays_dataset_not_in_batches": (
        dataset(batch=0),
        ["`images of x`", "(batch, 4, 4, 1)", ".batch("],
    ),
    "arrays_dataset_empty": (
        lambda given: given.robust().fit(given.dataset().take(0), verbose=0),
        ["`x` must hold one batch or more"],
    ),
    "arrays_run_phase_pixels_of_255": (
        lambda given: run_phase(given, 255 * given.images, given.labels),
        ["`images` must lie in [0, 1]", "by 255"],
    ),
    "arrays_run_phase_too_many_classes": (
        lambda given: run_phase(given, given.images, given.labels + 1),
        ["`train` must hold classes from 0 to 2", "4 classes"],
    ),
    "arrays_run_phase_other_size": (
        lambda given: run_phase(given, given.images[:, :2], given.labels),
        ["`train` must have the shape (batch, 4, 4, 1)"],
    ),
    "arrays_run_phase_dataset_from_minus_1": (
        lambda given: run_phase(
            given,
            None,
            None,
            train=given.dataset().map(lambda x, y: (2 * x - 1, y)),
        ),
        ["`images of train`", "must lie in [0, 1]", "`clip`"],
    ),
    "arrays_run_phase_three_arrays": (
        lambda given: run_phase(given, None, None, train=(1, 2, 3)),
        ["`train` must be", "pair of arrays", "tuple"],
    ),
    "arrays_pgd_pixels_of_255": (
        pgd(x=lambda x: 255 * x),
        ["`x` must lie in [0, 1]", "by 255", "`clip`"],
    ),
    "arrays_pgd_infinite": (
        pgd(x=lambda x: np.where(x > 0.5, np.inf, x)),
        ["`x` must lie in [0, 1]", "infinite"],
    ),
    "arrays_pgd_single_image": (
        pgd(x=lambda x: x[0], y=lambda y: y[:1]),
        ["`x` must have the shape (batch, 4, 4, 1)", "x[np.newaxis]"],
    ),
    "arrays_pgd_single_label": (
        pgd(y=lambda y: 1),
        ["`y` must hold one class index per image", "(batch,)"],
    ),
    "arrays_pgd_label_out_of_range": (
        pgd(y=lambda y: y + 9),
        ["`y` must hold classes from 0 to 2", "Received: 9"],
    ),
    "arrays_pgd_channels_first": (
        lambda given: ht.attacks.pgd(
            keras.Sequential(
                [
                    keras.Input((4, 4, 3)),
                    keras.layers.Flatten(),
                    keras.layers.Dense(3),
                ]
            ),
            np.zeros((2, 3, 4, 4), np.float32),
            [0, 1],
            epsilon=0.1,
            step_size=0.1,
            num_steps=1,
        ),
        ["`x` must have the shape (batch, 4, 4, 3)", "np.moveaxis(x, 1, -1)"],
    ),
    "arrays_pgd_probabilities": (
        pgd(network=lambda given: given.network(activation="softmax")),
        ["`model` ends in a softmax", "'last'", "activation=None"],
    ),
    "arrays_pgd_one_logit": (
        pgd(network=lambda given: lambda x: x[:, 0, 0], y=lambda y: 0 * y),
        ["`model` must return logits", "two classes or more", "(12, 1)"],
    ),
    "arrays_pgd_path_as_model": (
        pgd(network=lambda given: "model.keras"),
        ["`model` must be a Keras model", "'model.keras'"],
    ),
    "arrays_fgsm_pixels_of_255": (
        lambda given: ht.attacks.fgsm(
            given.network(), 255 * given.images, given.labels, epsilon=0.1
        ),
        ["`x` must lie in [0, 1]", "`clip`"],
    ),
    "arrays_objective_called_on_pixels_of_255": (
        lambda given: ht.objectives.Natural()(
            given.network(), 255 * given.images, given.labels
        ),
        ["`x` must lie in [0, 1]", "`clip`"],
    ),
    "arrays_smoothing_from_minus_1": (
        lambda given: ht.smoothing.predict(
            given.network(), 2 * given.images - 1, 0.25, n=10
        ),
        ["`x` must lie in [0, 1]", "`clip`"],
    ),
    "arrays_smoothing_single_image": (
        lambda given: ht.smoothing.certify(
            given.network(), given.images[0], 0.25, n=10
        ),
        ["`x` must have the shape (batch, 4, 4, 1)", "x[np.newaxis]"],
    ),
    "arrays_smoothing_empty": (
        lambda given: ht.smoothing.certify(
            given.network(), given.images[:0], 0.25, n=10
        ),
        ["`x` must hold one image or more"],
    ),
    "arrays_bounds_single_image": (
        lambda given: ht.bounds.certified(
            given.network(), given.images[0], given.labels[:1], 0.1
        ),
        ["`x` must have the shape (batch, 4, 4, 1)", "x[np.newaxis]"],
    ),
    "arrays_bounds_from_minus_1": (
        lambda given: ht.bounds.certified(
            given.network(), 2 * given.images - 1, given.labels, 0.1
        ),
        ["`x` must lie in [0, 1]", "`clip`"],
    ),
    "arrays_measured_pixels_of_255": (
        lambda given: ht.evaluation.evaluate(
            given.network(), 255 * given.images, given.labels, num_steps=1
        ),
        ["`images` must lie in [0, 1]", "by 255"],
    ),
    "arrays_measured_label_out_of_range": (
        lambda given: ht.evaluation.evaluate(
            given.network(), given.images, given.labels + 1, num_steps=1
        ),
        ["`labels` must hold classes from 0 to 2", "Received: 3"],
    ),
    "arrays_certified_other_size": (
        lambda given: ht.evaluation.certify(
            given.network(), given.images[:, :3], given.labels
        ),
        ["`images` must have the shape (batch, 4, 4, 1)"],
    ),
    "arrays_from_arrays_one_hot": (
        lambda given: ht.data.from_arrays(
            given.images, np.eye(3)[given.labels], batch_size=4
        ),
        ["`labels` must hold one integer per image"],
    ),
    "arrays_network_of_one_logit": (
        lambda given: given.robust(given.network(classes=1)),
        ["`network` must return logits", "two classes or more", "(None, 1)"],
    ),
    "arrays_network_of_maps": (
        lambda given: given.robust(
            keras.Sequential(
                [keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 3)]
            )
        ),
        ["`network` must return logits", "(None, 2, 2, 3)"],
    ),
    "arrays_network_of_two_inputs": (
        lambda given: given.robust(sum_of_two_inputs()),
        ["`network` has 2 inputs", "attacked_input="],
    ),
    "arrays_network_not_built": (
        lambda given: ht.bounds.certified(
            keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)]),
            given.images,
            given.labels,
            0.1,
        ),
        ["not built", "Input"],
    ),
    "arrays_network_wrapped_twice": (
        lambda given: given.robust(given.robust()),
        ["`network` is a RobustModel already", "pass its `network`"],
    ),
    "arrays_network_is_a_class": (
        lambda given: ht.RobustModel(keras.Sequential, given.objective()),
        ["`network` must be a Keras model"],
    ),
}
