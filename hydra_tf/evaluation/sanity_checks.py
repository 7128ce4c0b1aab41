"""The checks of `sanity`: what must hold where an attack does its work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hydra_tf import text
from hydra_tf.attacks.suspicions import are_probabilities
from hydra_tf.evaluation.balanced import balanced_accuracy
from hydra_tf.evaluation.probe import Probe
from hydra_tf.evaluation.settings import EvaluationSettings

# Share of the images that may turn out otherwise by chance.
_SLACK = 0.01
# By how much two passes differ by rounding, as a share of the largest logit.
_ROUNDING = 1e-4
# Random points of the ball, and queries of Square.
_NUM_DRAWS = 50
_NUM_QUERIES = 500

_HIDDEN = "gradients may be hidden, and the true robust accuracy lower"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One of the checks.

    Attributes:
        name: What it is about, such as `"unbounded_epsilon"`.
        passed: Whether network and attack are as they should be.
        finding: What was found, a sentence with its figures.
    """

    name: str
    passed: bool
    finding: str


class Checks:
    """The checks of a network, made one after the other by iterating.

    Args:
        probe: The network.
        labels: Classes of its images.
        settings: Radius, steps and restarts of PGD, norm, seed.
    """

    def __init__(
        self, probe: Probe, labels: np.ndarray, settings: EvaluationSettings
    ):
        self._probe = probe
        self._labels = labels
        self._settings = settings
        self._slack = max(_SLACK, 1 / len(labels)) + 1e-9
        # In the order in which one would look for what is wrong.
        self._all = (
            self._logits,
            self._determinism,
            self._accuracy,
            self._gradients,
            self._more_steps,
            self._more_restarts,
            self._iterative,
            self._larger_epsilon,
            self._unbounded_epsilon,
            self._noise,
            self._black_box,
        )

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Check]:
        self._answers = self._probe.first
        self._natural = _share(self._probe.correct)
        # The attack that the others are compared with.
        self._once = _share(self._probe.pgd())
        self._robust = _share(
            self._probe.pgd(num_restarts=self._settings.num_restarts)
        )
        for check in self._all:
            passed, finding = check()
            name = check.__name__.removeprefix("_")
            yield Check(name=name, passed=passed, finding=finding)

    def _logits(self) -> tuple[bool, str]:
        logits = self._answers.logits
        infinite = _share(~np.all(np.isfinite(logits), axis=1))
        if infinite:
            return False, (
                f"the logits of {text.percent(infinite)} of the images are nan "
                "or infinite: no gradient leads there"
            )
        if are_probabilities(logits):
            return False, (
                "the network returns probabilities, not logits: gradients "
                "vanish where it is sure; attack it without its softmax"
            )
        return True, (
            f"the network returns logits, from {logits.min():.4g} to "
            f"{logits.max():.4g}"
        )

    def _determinism(self) -> tuple[bool, str]:
        logits = self._answers.logits
        apart = _difference(logits, self._probe.answers().logits)
        if apart > _ROUNDING:
            return False, (
                "the network is random: logits differ by "
                f"{text.percent(apart)} of the largest between two passes; "
                "attack it with autoattack(..., version='rand'), which "
                "averages gradients"
            )
        half = -(-len(self._labels) // 2)
        apart = _difference(logits, self._probe.answers(half).logits)
        if apart > _ROUNDING:
            return False, (
                "the logits of an image depend on the images beside it, by "
                f"{text.percent(apart)} of the largest: is batch normalisation "
                "in training mode?"
            )
        return True, "the network gives the same logits whenever it is asked"

    def _accuracy(self) -> tuple[bool, str]:
        natural = text.percent(self._natural)
        classes = np.argmax(self._answers.logits, axis=1)
        if len(set(classes)) == 1 and len(set(self._labels)) > 1:
            return False, (
                f"the network takes all images for class {classes[0]}: "
                f"{natural} natural accuracy means nothing"
            )
        level = 1 / self._answers.logits.shape[1]
        balanced = balanced_accuracy(self._labels, self._probe.correct)
        if balanced <= level:
            return False, (
                f"natural accuracy is {natural}, by classes "
                f"{text.percent(balanced)}: not above chance, "
                f"{text.percent(level)}. Do labels and range of the images fit "
                "the network?"
            )
        return True, f"natural accuracy is {natural}, above chance"

    def _gradients(self) -> tuple[bool, str]:
        loss, margin = self._answers.of_loss, self._answers.of_margin
        infinite = _share(~(np.isfinite(loss) & np.isfinite(margin)))
        if infinite:
            return False, (
                f"the gradient is nan or infinite for {text.percent(infinite)} "
                "of the images: attacks cannot follow it"
            )
        flat, still = _share(margin == 0), _share(loss == 0)
        if flat > _SLACK:
            return False, (
                f"the logits of {text.percent(flat)} of the images have the "
                "gradient 0: rounding, a step or a saturated activation in the "
                "network lets none through, and attacks by gradients cannot "
                "move them. Attack with square, or a smooth stand-in"
            )
        if still > _SLACK:
            return False, (
                "the gradient of the cross-entropy vanishes for "
                f"{text.percent(still)} of the images, not that of the logits: "
                "these are so large, up to "
                f"{np.abs(self._answers.logits).max():.4g}, that the softmax "
                "is saturated. Attack with pgd_margin, apgd_dlr or autoattack, "
                "or scale them down"
            )
        return True, (
            "the gradient is finite, and 0 for "
            f"{text.percent(max(flat, still))} of the images"
        )

    def _more_steps(self) -> tuple[bool, str]:
        whole = self._settings.num_steps
        counts = sorted({-(-whole // 5), whole, 2 * whole})
        shares = [
            self._once
            if count == whole
            else _share(self._probe.pgd(num_steps=count))
            for count in counts
        ]
        passed = self._never_rises(shares)
        finding = f"{_list(counts)} steps of PGD leave {_percents(shares)}"
        if not passed:
            return False, (
                f"{finding}: more steps are weaker. The step size does not fit "
                f"the radius, or {_HIDDEN}"
            )
        if shares[-2] - shares[-1] > self._slack:
            finding += f": {whole} steps are not enough yet, measure with more"
        return True, finding

    def _more_restarts(self) -> tuple[bool, str]:
        count = self._settings.num_restarts
        shares = [self._once, self._robust]
        return self._never_rises(shares), (
            f"1 start of PGD leaves {text.percent(self._once)}, the best of "
            f"{count} {text.percent(self._robust)}"
        )

    def _iterative(self) -> tuple[bool, str]:
        step = _share(self._probe.single_step())
        finding = (
            f"FGSM leaves {text.percent(step)}, "
            f"{self._settings.num_steps} steps of PGD "
            f"{text.percent(self._robust)}"
        )
        if self._never_rises([step, self._robust]):
            return True, finding
        return False, (
            f"{finding}: a single step is stronger than many; {_HIDDEN}"
        )

    def _larger_epsilon(self) -> tuple[bool, str]:
        epsilon, largest = self._settings.epsilon, self._probe.largest_epsilon
        radii = [epsilon / 2, epsilon, min(2 * epsilon, largest)]
        shares = [
            self._once
            if radius == epsilon
            else _share(self._probe.pgd(epsilon=radius))
            for radius in radii
        ]
        finding = (
            f"PGD within {_list([f'{each:.4g}' for each in radii])} leaves "
            f"{_percents(shares)}, of {text.percent(self._natural)}"
        )
        shares = [self._natural, *shares]
        if self._never_rises(shares):
            return True, finding
        return False, (
            f"{finding}: a larger radius must not leave more; {_HIDDEN}"
        )

    def _unbounded_epsilon(self) -> tuple[bool, str]:
        largest = self._probe.largest_epsilon
        left = _share(
            self._probe.pgd(
                epsilon=largest, num_restarts=self._settings.num_restarts
            )
        )
        finding = (
            f"PGD that may change everything "
            f"({text.ball(self._settings.threat_model, largest)}) leaves "
            f"{text.percent(left)}"
        )
        if left <= self._slack:
            return True, finding
        return False, (
            f"{finding}: it must leave 0 %, so it does not find what is there; "
            f"{_HIDDEN}"
        )

    def _noise(self) -> tuple[bool, str]:
        left = _share(self._probe.noise(_NUM_DRAWS))
        finding = (
            f"{_NUM_DRAWS} random points of the ball leave "
            f"{text.percent(left)}, PGD {text.percent(self._robust)}"
        )
        if self._never_rises([left, self._robust]):
            return True, finding
        return False, f"{finding}: noise is stronger than PGD; {_HIDDEN}"

    def _black_box(self) -> tuple[bool, str]:
        left = _share(self._probe.square(_NUM_QUERIES))
        finding = (
            f"Square with {_NUM_QUERIES} queries, which needs no gradient, "
            f"leaves {text.percent(left)}, PGD {text.percent(self._robust)}"
        )
        if self._never_rises([left, self._robust]):
            return True, finding
        if _share(self._answers.of_loss == 0) <= self._slack:
            # Its gradients lead somewhere, perhaps just not the best way.
            margin = _share(
                self._probe.pgd(
                    num_restarts=self._settings.num_restarts, loss="margin"
                )
            )
            if self._never_rises([left, margin]):
                return True, (
                    f"{finding}, on the margin {text.percent(margin)}: the "
                    "cross-entropy alone is too weak, measure with pgd_margin "
                    "or autoattack"
                )
        return False, f"{finding}: it is stronger than gradients; {_HIDDEN}"

    def _never_rises(self, shares: list[float]) -> bool:
        """Whether no accuracy is above the one before, but for chance."""
        return bool(np.all(np.diff(np.array(shares)) <= self._slack))


def _share(answers: np.ndarray) -> float:
    return float(np.mean(answers))


def _difference(logits: np.ndarray, again: np.ndarray) -> float:
    """Returns how far logits are apart, as a share of the largest."""
    finite = np.isfinite(logits) & np.isfinite(again)
    if not np.any(finite):
        return 0.0
    largest = max(float(np.max(np.abs(logits[finite]))), 1e-30)
    return float(np.max(np.abs((logits - again)[finite]))) / largest


def _list(values: list) -> str:
    """Returns `"10, 50 and 100"`."""
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last


def _percents(shares: list[float]) -> str:
    return _list([text.percent(each) for each in shares])
