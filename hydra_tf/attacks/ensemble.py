"""The attacks of AutoAttack, each compiled once and run on what is left.

A version is a table of parts. A part runs in stages, one for each restart and
target class, so that every stage attacks only what withstood all before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.checks import check_has_squares
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import compiled
from hydra_tf.attacks.logits import num_classes_of
from hydra_tf.attacks.losses import misclassified
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import NUM_TARGETS


@dataclasses.dataclass(frozen=True)
class Part:
    """An attack of a version.

    Attributes:
        name: What the literature calls it.
        attack: Its name in the registry.
        settings: Arguments of its own.
        num_restarts: Random starts.
        targeted: Whether it tries one class after the other.
    """

    name: str
    attack: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_restarts: int = 1
    targeted: bool = False


@dataclasses.dataclass(frozen=True)
class Stage:
    """A restart of a part, with one target class where it has them.

    Attributes:
        part: The part.
        number: The number of the part in its version.
        restart: Number of the restart.
        target: Rank of the target class, or `None`.
    """

    part: Part
    number: int
    restart: int = 0
    target: int | None = None


def _apgd(name: str, loss: str, num_restarts: int = 1, **settings: Any):
    settings = {"loss": loss, "num_steps": 100, **settings}
    return Part(
        name, "apgd", settings, num_restarts, targeted=loss == "dlr_targeted"
    )


_FAB_T = Part("fab-t", "fab", {"num_steps": 100}, targeted=True)
_SQUARE = Part("square", "square", {"num_queries": 5000, "rescaled": False})

VERSIONS: dict[str, tuple[Part, ...]] = {
    "standard": (
        _apgd("apgd-ce", "ce"),
        _apgd("apgd-t", "dlr_targeted"),
        _FAB_T,
        _SQUARE,
    ),
    "plus": (
        _apgd("apgd-ce", "ce", num_restarts=5),
        _apgd("apgd-dlr", "dlr", num_restarts=5),
        # Restarts of its own: the first is not random.
        Part(
            "fab",
            "fab",
            {"num_steps": 100, "targeted": False, "num_restarts": 5},
        ),
        _SQUARE,
        _apgd("apgd-t", "dlr_targeted"),
        _FAB_T,
    ),
    "rand": (
        _apgd("apgd-ce", "ce", num_samples=20),
        _apgd("apgd-dlr", "dlr", num_samples=20),
    ),
}


class Ensemble:
    """The stages of AutoAttack for one network.

    Args:
        model: Keras model, or any callable from images to logits.
        images: Images of the shape that will be attacked.
        epsilon: Float >= 0, radius of the ball.
        threat_model: `"linf"` or `"l2"`.
        version: `"standard"`, `"plus"` or `"rand"`.
        seed: Integer >= 0, or a stateless seed.
        clip: Least and largest value of a pixel, or `None`.

    Attributes:
        stages: What is run one after the other.

    Raises:
        InputError: If the images are not what Square needs.
    """

    def __init__(
        self,
        model: Model,
        images: np.ndarray,
        *,
        epsilon: float,
        threat_model: str = "linf",
        version: str = "standard",
        seed: noise.Seed = 0,
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self._model = model
        self._logits_of = as_logits_function(model)
        self._seed = noise.as_seed(seed)
        self._fixed = {
            "epsilon": epsilon,
            "threat_model": threat_model,
            "clip": clip,
        }
        self._image_shape = images.shape[1:]
        num_classes = num_classes_of(model, images)
        self._num_targets = min(NUM_TARGETS.default, num_classes - 1)
        if any(part.attack == "square" for part in VERSIONS[version]):
            # It is the last to run, after minutes.
            check_has_squares(images.shape)
        self._compiled: dict[str, Any] = {}
        self.stages = tuple(
            Stage(part, number, restart, target)
            for number, part in enumerate(VERSIONS[version])
            for restart in range(part.num_restarts)
            for target in self._targets(part)
        )

    def _targets(self, part: Part) -> Iterable[int | None]:
        return range(self._num_targets) if part.targeted else (None,)

    def attack(
        self, number: int, x: np.ndarray, y: np.ndarray, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs a stage on a batch.

        Args:
            number: Of the stage.
            x: Float32 images.
            y: Their labels.
            indices: Of the images in the whole set.

        Returns:
            Perturbed images, and which of them are misclassified.
        """
        stage = self.stages[number]
        name = stage.part.name
        if name not in self._compiled:
            self._compiled[name] = self._compile(stage.part)
        seed = noise.fold_seed(self._seed, stage.number)
        x_adv, broken = self._compiled[name](
            tf.constant(x),
            tf.constant(y, tf.int32),
            tf.constant(indices, tf.int64),
            restart_seed(seed, stage.restart),
            tf.constant(stage.target or 0),
        )
        return x_adv.numpy(), broken.numpy()

    def _compile(self, part: Part) -> Any:
        """Returns the graph of a part, the same for batches of any size."""
        attack = ATTACKS.load(part.attack)
        settings = {**self._fixed, **part.settings}
        if part.targeted:
            settings["num_targets"] = self._num_targets

        def run(x, y, indices, seed, target):
            chosen = {"target": target} if part.targeted else {}
            x_adv = attack(
                self._model,
                x,
                y,
                seed=seed,
                indices=indices,
                **settings,
                **chosen,
            )
            return x_adv, misclassified(self._logits_of(x_adv), y)

        return compiled(
            run,
            input_signature=[
                tf.TensorSpec((None, *self._image_shape), tf.float32),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((2,), tf.int32),
                tf.TensorSpec((), tf.int32),
            ],
        )
