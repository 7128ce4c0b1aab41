"""Whether an attack can be trusted on a network: the checks of the field."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from hydra_tf.attacks.checks import check_model
from hydra_tf.errors import InputError
from hydra_tf.evaluation.evaluate import changed
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.network import checked_data
from hydra_tf.evaluation.probe import Probe
from hydra_tf.evaluation.sanity_checks import Check
from hydra_tf.evaluation.sanity_checks import Checks
from hydra_tf.evaluation.settings import EvaluationSettings
from hydra_tf.progress import Ticker
from hydra_tf.registry.training import PROGRESS

# More images do not change what is found, but take longer.
_MOST_IMAGES = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sanity:
    """What the checks found; `str` is a list of it.

    Attributes:
        checks: The checks, each with `name`, `passed` and `finding`.
        attack: Settings of the PGD that was used.
        num_examples: Number of images that were looked at.
        seconds: Time it took.
    """

    checks: tuple[Check, ...]
    attack: dict[str, Any]
    num_examples: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(each.passed for each in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Returns what was found, as `metrics.json` holds it."""
        return {
            "passed": self.passed,
            "checks": [dataclasses.asdict(each) for each in self.checks],
            "attack": self.attack,
            "num_examples": self.num_examples,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        failed = sum(not each.passed for each in self.checks)
        width = max(len(each.name) for each in self.checks)
        lines = [
            f"{'ok    ' if each.passed else 'FAILED'}  "
            f"{each.name.replace('_', ' ').ljust(width)}  {each.finding}"
            for each in self.checks
        ]
        lines.append(
            f"{len(self.checks) - failed} of {len(self.checks)} checks passed "
            f"on {self.num_examples} images"
        )
        return "\n".join(lines)


def sanity(
    model: Callable[..., Any],
    images: Any,
    labels: Any,
    settings: EvaluationSettings | None = None,
    *,
    progress: str = "none",
    **changes: Any,
) -> Sanity:
    """Checks whether robust accuracy can be measured on a network.

    Attacks overestimate robustness where gradients are hidden, or where they
    end too early. Each check compares figures of which it is known how they
    must be related: more steps and restarts of PGD are not weaker, a larger
    radius is not either, one that holds all images leaves none right; a single
    step, random noise and Square, which needs no gradient, are not stronger
    than PGD; gradients do not vanish, and the network returns logits, the same
    ones every time. What passes is not proved to be robust; what fails is not
    yet measured.

    Args:
        model: Keras model from images to logits, masked or not, or any
            callable from images to logits.
        images: Float images in [0, 1], shape `(images, ...)`; the first 200
            are looked at.
        labels: Integer classes, shape `(images,)`.
        settings: An `EvaluationSettings`; by default that without arguments.
            `attacks`, `bounds` and `smoothing` do not matter.
        progress: `"none"`, or `"auto"` for a line that counts the checks.
        **changes: Fields of `EvaluationSettings` that are to differ from
            `settings`.

    Returns:
        A `Sanity`.

    Raises:
        InputError: If an argument cannot be used, or the radius is 0.

    Example:
    ```python
    found = ht.evaluation.sanity(network, images, labels, epsilon=0.1)
    print(found)
    ```

    Reference:

    - [Carlini et al., 2019](https://arxiv.org/abs/1902.06705)
    """
    started = time.monotonic()
    settings = changed(settings, EvaluationSettings, changes)
    if settings.epsilon == 0:
        raise InputError(
            "`epsilon` must be above 0: at radius 0 there is nothing to check. "
            "Received: epsilon=0"
        )
    PROGRESS.check(progress)
    check_model(model)
    images, labels = checked_data(images, labels, model)
    images, labels = images[:_MOST_IMAGES], labels[:_MOST_IMAGES]
    checks = Checks(
        Probe(as_exported(model), images, labels, settings), labels, settings
    )
    found: list[Check] = []
    ticker = Ticker("sanity", len(checks), progress, compiles=True)
    with contextlib.closing(ticker):
        for each in checks:
            found.append(each)
            ticker.update(len(found), each.name.replace("_", " "))
    attack = dataclasses.replace(settings, attacks=("pgd",)).attack_records
    return Sanity(
        checks=tuple(found),
        attack=attack["pgd"],
        num_examples=len(labels),
        seconds=time.monotonic() - started,
    )
