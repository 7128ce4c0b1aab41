"""Networks to evaluate, and images, that no figure could come of."""

import keras
import numpy as np
import tensorflow as tf


def dataset_of_levels():
    images = np.full((40, 8, 8, 1), 255.0, np.float32)
    images[::2] = 0
    part = images, np.arange(40) % 10
    return part, part


def served(function, dtype=tf.float32, batch=None, name="served"):
    """Returns a function of the folder that writes a SavedModel."""

    def prepare(folder):
        module = tf.Module()
        signature = tf.function(lambda images: {"out": function(images)})
        tf.saved_model.save(
            module,
            str(folder / name),
            signatures=signature.get_concrete_function(
                tf.TensorSpec((batch, 8, 8, 1), dtype, "images")
            ),
        )

    return prepare


def flat(images):
    """Returns logits: ten of the pixels."""
    return tf.reshape(tf.cast(images, tf.float32), (-1, 64))[:, 20:30]


def without_gradients(images):
    return tf.one_hot(tf.argmax(flat(images), -1), 10) * 9


def hidden_softmax(folder):
    keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
            keras.layers.Softmax(),
            keras.layers.GaussianNoise(0.1),
        ]
    ).save(folder / "odd.keras")


def small(folder):
    keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    ).save(folder / "small.keras")


def small_and_empty(folder):
    small(folder)
    (folder / "empty").mkdir()


SERVED = "evaluate --source={folder}/served"
TWO = "evaluate --source={folder}/small.keras,{folder}/"

COMMANDS = {
    "evaluated_nothing_between_commas": (
        "evaluate --source=,",
        ["--source is required", "SavedModel", "commas"],
    ),
    "evaluated_second_of_two_is_missing": (
        (small, TWO + "smal.keras"),
        ["--source=", "/smal.keras does not exist"],
    ),
    "evaluated_second_flag_is_missing": (
        (small, "evaluate --source={folder}/small.keras --source={folder}/x"),
        ["/x does not exist"],
    ),
    "evaluated_second_of_two_is_an_empty_folder": (
        (small_and_empty, TWO + "empty"),
        ["/empty holds no finished phase"],
    ),
    "evaluated_probabilities_of_a_saved_model": (
        (served(lambda x: tf.nn.softmax(flat(x))), SERVED),
        ["/served returns probabilities", "logits", "softmax"],
    ),
    "evaluated_probabilities_of_a_file": (
        (hidden_softmax, "evaluate --source={folder}/odd.keras"),
        ["/odd.keras returns probabilities", "logits"],
    ),
    "evaluated_saved_model_of_pixels": (
        (served(flat, tf.uint8), SERVED),
        ["/served takes images of uint8", "floats in [0, 1]"],
    ),
    "evaluated_saved_model_of_one_image": (
        (served(flat, batch=1), SERVED),
        ["/served takes 1 image(s) at a time", "free batch size"],
    ),
    "evaluated_saved_model_without_gradients": (
        (served(without_gradients), SERVED),
        ["/served has no gradients", "--eval_attacks=square"],
    ),
    "evaluated_unknown_attack_of_several": (
        (small, "evaluate --source={folder}/small.keras --eval_attacks=pgd,aa"),
        ["unknown attack 'aa'", "autoattack"],
    ),
    "evaluated_images_of_levels": (
        (
            small,
            "evaluate --source={folder}/small.keras "
            "--dataset=tests.mistakes.evaluated_networks:dataset_of_levels",
        ),
        ["[0, 1]", "255"],
    ),
    "evaluated_sanity_without_a_radius": (
        "evaluate --source={folder} --sanity --epsilon=0",
        ["--sanity", "above 0", "--eval_epsilon=0"],
    ),
    "evaluated_into_the_saved_model": (
        (served(flat, name="run"), "evaluate --source={folder}/run"),
        ["--output_dir=", "no run of these programs"],
    ),
}
