"""Trained scores and learned densities for the rounds of multi-step pruning."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers.mask_settings import check_learns
from hydra_tf.objectives.base import Objective
from hydra_tf.pruning.flops import check_resource
from hydra_tf.pruning.harp import learn_densities
from hydra_tf.pruning.harp import settle_densities
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.pruning.phases import set_phase
from hydra_tf.pruning.scores import check_method
from hydra_tf.pruning.scores import first_batch
from hydra_tf.pruning.scores import init_scores
from hydra_tf.training.harp import Compression
from hydra_tf.training.optimizers import SGD
from hydra_tf.training.perturbation import Perturbation
from hydra_tf.training.robust_model import RobustModel

# That of Keras, for arrays.
_DEFAULT_BATCH_SIZE = 32

_FUNCTIONS = ("train_function", "test_function", "predict_function")


class TrainedScores:
    """A prune phase of HYDRA or HARP in each round of multi-step pruning.

    For `scores` of `hydra_tf.MultiStepPruning`. Called between two epochs of
    the finetune phase, it trains the scores of the network for some epochs
    under an objective, in a `fit` of its own, with the kernels frozen; or,
    with `learns`, densities as well, which are then rounded to the round's
    target. The scores and densities that come out make the masks of the next
    epochs. Everything else is as before, but for what a prune phase trains
    besides: normalisation, and its running statistics. What was pruned in an
    earlier round may come back, with the weights that it had.

    Args:
        objective: A `hydra_tf.objectives.Objective`.
        data: The images and labels to train on: a pair of arrays, or a
            `tf.data.Dataset` of batches of such pairs.
        epochs: Integer, epochs of every round.
        optimizer: Keras optimiser, or its name. Each round starts with a new
            one of the same settings, learning rate schedule included. By
            default SGD with a learning rate of 0.1 and momentum of 0.9.
        batch_size: Integer, for arrays.
        initial: The method of `hydra_tf.init_scores` by which the scores of
            every round start, by default `"scaled"` (`"snip"` takes the first
            batch); `None` to continue with those of the round before.
        learns: `None`, or what is learned along with the allocation, as for
            `hydra_tf.learn_densities`: `"both"`, `"rates"` or `"scores"`.
            Densities start as the round allocates them.
        gamma_step: Float > 0, see `hydra_tf.training.Compression`.
        resource: `"weights"` or `"flops"`, likewise.
        train_normalization: As for `hydra_tf.set_phase`.
        score_perturbation: Float in [0, 1), see `Perturbation.scores`.
        callbacks: Function without arguments that returns the Keras callbacks
            of one round.
        seed: Integer from 0 to 2**31 - 1. A round's noise depends on it and
            on the round's density.
        verbose: As for `keras.Model.fit`; by default nothing is shown.

    Attributes:
        histories: What `fit` has logged, a dictionary for each round.

    Example:
        ```python
        pruning = ht.MultiStepPruning(
            network,
            schedule,
            scores=ht.training.TrainedScores(
                ht.objectives.TRADES(), (images, labels), epochs=2
            ),
            on_prune=robust.freeze_pruned_weights,
        )
        robust.fit(images, labels, epochs=40, callbacks=[pruning])
        ```

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3
    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3
    """

    def __init__(
        self,
        objective: Objective,
        data: Any,
        *,
        epochs: int = 1,
        optimizer: Any = None,
        batch_size: int | None = None,
        initial: str | None = "scaled",
        learns: str | None = None,
        gamma_step: float = 0.01,
        resource: str = "weights",
        train_normalization: bool = True,
        score_perturbation: float = 0.0,
        callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None,
        seed: int = 0,
        verbose: Any = 0,
    ) -> None:
        if not isinstance(epochs, int | np.integer) or epochs < 1:
            raise InputError(
                "`epochs` must be a positive integer. "
                f"Received: epochs={epochs!r}"
            )
        if initial is not None:
            check_method(initial, "initial", data)
        if learns is not None:
            check_learns(learns)
        check_resource(resource)
        self._objective = objective
        self._data = data
        self._epochs = int(epochs)
        self._optimizer = _config_of(
            SGD(0.1, momentum=0.9) if optimizer is None else optimizer
        )
        self._batch_size = batch_size
        self._initial = initial
        self._learns = learns
        self._gamma_step = gamma_step
        self._resource = resource
        self._train_normalization = train_normalization
        self._perturbation = (
            Perturbation(scores=score_perturbation)
            if score_perturbation
            else None
        )
        self._callbacks = callbacks
        self._seed = seed
        self._verbose = verbose
        self.histories: list[dict[str, list[float]]] = []

    def __call__(self, model: keras.Model, density: float) -> None:
        """Trains the scores of a model, and densities if they are learned.

        Args:
            model: Model with masked layers, at the densities to train with.
            density: Float in (0, 1], the target where densities are learned.
        """
        with _as_it_was(model):
            if self._initial is not None:
                init_scores(
                    model,
                    self._initial,
                    seed=self._round_seed(density),
                    data=self._batch(),
                )
            # Variables and optimiser are made for the network's replicas.
            with model.distribute_strategy.scope():
                compression = None
                if self._learns is not None:
                    compression = self._learn(model, density, self._learns)
                set_phase(
                    model,
                    "prune",
                    train_normalization=self._train_normalization,
                )
                self._fit(model, density, compression)
            if self._learns is not None:
                settle_densities(model, density, self._resource)

    def _learn(
        self, model: keras.Model, density: float, learns: str
    ) -> Compression:
        """Makes densities trainable, from what they are now."""
        starts = {
            name: layer.scoring.current_density
            for name, layer in prunable_layers(model).items()
        }
        learn_densities(model, density, initial=starts, learns=learns)
        return Compression(
            density, gamma_step=self._gamma_step, resource=self._resource
        )

    def _fit(
        self,
        model: keras.Model,
        density: float,
        compression: Compression | None,
    ) -> None:
        robust = RobustModel(
            model,
            self._objective,
            compression=compression,
            perturbation=self._perturbation,
            seed=self._round_seed(density),
        )
        robust.compile(keras.optimizers.deserialize(self._optimizer))
        # `fit` takes both as its first two arguments.
        is_dataset = isinstance(self._data, tf.data.Dataset)
        images, labels = (self._data, None) if is_dataset else self._data
        # A look at its first batch would change what a shuffle draws next, in
        # each round, and a resumed run does not go through all of them.
        robust.checks_data = not is_dataset
        history = robust.fit(
            images,
            labels,
            batch_size=self._batch_size,
            epochs=self._epochs,
            shuffle=labels is not None,
            verbose=self._verbose,
            callbacks=self._callbacks() if self._callbacks else None,
        )
        self.histories.append(history.history)

    def _batch(self) -> Any:
        """What the scores of a round start from, if they need images."""
        if isinstance(self._data, tf.data.Dataset):
            return self._data
        return first_batch(self._data, self._batch_size or _DEFAULT_BATCH_SIZE)

    def _round_seed(self, density: float) -> int:
        """A seed for each target: a resumed run draws the same."""
        words = [self._seed, round(density * 2**31)]
        return int(np.random.SeedSequence(words).generate_state(1)[0] >> 1)


@contextlib.contextmanager
def _as_it_was(model: keras.Model) -> Iterator[None]:
    """Restores phases, what trains, and compiled functions at the end."""
    layers = list(masked_layers(model).values())
    phases = [(layer.phase, layer.learns) for layer in layers]
    trainable = [(each, each.trainable) for each in model.variables]
    functions = {name: getattr(model, name, None) for name in _FUNCTIONS}
    try:
        yield
    finally:
        for layer, (phase, learns) in zip(layers, phases, strict=True):
            layer.phase = phase
            layer.learns = learns
        for variable, value in trainable:
            variable.trainable = value
        for name, function in functions.items():
            if function is not None:
                setattr(model, name, function)


def _config_of(optimizer: Any) -> dict[str, Any]:
    """The settings of an optimiser, without what it has learned."""
    return keras.optimizers.serialize(keras.optimizers.get(optimizer))
