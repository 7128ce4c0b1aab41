"""Courses without the training in between."""

import keras
import numpy as np

import hydra_tf as ht
from tests.pruning.courses import small


def network():
    """Returns a network that granularity 2:4 suits too."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 4)),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def course_of(method, *, steps_per_epoch=2, **settings):
    """Returns the course of a method, begun."""
    course = small.course(
        method=method,
        steps_per_epoch=steps_per_epoch,
        plain=network(),
        **{"density": None, **settings},
    )
    course.begin()
    return course


def move(course, seed, scale=0.001):
    """Moves all that a step would, and sets the gradients that it sees."""
    rng = np.random.default_rng(seed)
    for layer in ht.masked_layers(course.network).values():
        noise = scale * rng.normal(size=layer.kernel.shape)
        if not layer.masked_kernel.trains_pruned:
            noise *= np.asarray(layer.stored_mask)
        layer.kernel.assign_add(noise)
    for variable in course.gradients.values():
        variable.assign(rng.normal(size=variable.shape))


def run_epoch(course, epoch, logs=None, move=move):
    """Goes through the steps of an epoch, from 0."""
    course.on_epoch_begin(epoch)
    for batch in range(course.steps_per_epoch):
        move(course, epoch * course.steps_per_epoch + batch)
        course.on_train_batch_end(batch)
    logs = dict(logs or {"loss": 1.0})
    course.on_epoch_end(epoch, logs)
    return logs


def state(course):
    """Returns what a phase that resumes restores."""
    variables = [*course.network.variables, *course.variables]
    return [np.array(each) for each in variables]


def restore(course, values):
    variables = [*course.network.variables, *course.variables]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
