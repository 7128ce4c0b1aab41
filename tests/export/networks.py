"""A small pruned network that exports are tested with."""

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import pruning


def pruned(density=0.25, shape=(8, 8, 3)):
    """Returns a masked network that has trained a little, as it were."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(8, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 1, activation="relu", name="pointwise"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", name="dense"),
            keras.layers.Dense(4, name="logits"),
        ]
    )
    random = np.random.default_rng(2)
    norm = model.get_layer("norm")
    for variable in norm.variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    masked = pruning.to_masked(model, density=density)
    pruning.init_scores(masked, "scaled")
    return masked


def images(count=40, shape=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).random((count, *shape), np.float32)


def kernels(model):
    """Returns the kernels of a plain network by layer."""
    return {
        layer.name: layer.kernel.numpy()
        for layer in model.layers
        if hasattr(layer, "kernel")
    }


def constants(path):
    """Returns the arrays of a file, integers as they are stored."""
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    found = []
    for details in interpreter.get_tensor_details():
        try:
            found.append((details, interpreter.get_tensor(details["index"])))
        except ValueError:
            continue  # Not a constant, and not computed yet.
    return found
