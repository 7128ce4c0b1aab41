"""How networks are measured: the settings of evaluation and certification."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import STEP_SIZE
from hydra_tf.registry.evaluation import CERTIFICATION
from hydra_tf.registry.evaluation import EVALUATION
from hydra_tf.registry.evaluation import EVALUATION_SMOOTHING
from hydra_tf.registry.evaluation import SMOOTHING
from hydra_tf.registry.settings import Setting

_DEFAULT_RADII = {
    "linf": (1 / 255, 2 / 255, 4 / 255, 8 / 255),
    "l2": (0.25, 0.5, 0.75, 1.0),
}


_RADIUS = dataclasses.replace(EPSILON, name="radii")


def _check(instance: Any, settings: Iterable[Setting]) -> None:
    """Checks the fields of a frozen dataclass, and stores what they mean."""
    for setting in settings:
        value = setting.check(getattr(instance, setting.name))
        object.__setattr__(instance, setting.name, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmoothingSettings:
    """How an evaluation certifies by randomised smoothing.

    Attributes:
        sigma: Float > 0, standard deviation of the noise.
        radii: Floats >= 0, the L2 radii certified.
        num_samples: Integer >= 1, noisy copies of an image that bound the
            share of its class.
        n0: Integer >= 1, noisy copies that choose the class.
        alpha: Float in (0, 1), probability of a wrong certificate.

    Raises:
        InputError: If one of them is out of range.
    """

    sigma: float = 0.25
    radii: tuple[float, ...] = (0.25, 0.5)
    num_samples: int = 500
    n0: int = 100
    alpha: float = 0.001

    def __post_init__(self) -> None:
        _check(self, EVALUATION_SMOOTHING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How a network is measured: its attacks and its proofs.

    Attributes:
        attacks: Names of `hydra_tf.registry.attacks`, or `package.module:name`.
        bounds: Methods of `hydra_tf.bounds` that prove, within `epsilon`.
        epsilon: Float >= 0, radius of attacks and bounds.
        step_size: Float >= 0, length of an attack step; by default
            `epsilon / 4`.
        num_steps: Integer >= 1, steps of an attack.
        num_restarts: Integer >= 1, random starts of PGD.
        threat_model: Norm of the perturbations, `"linf"` or `"l2"`.
        smoothing: Certification by smoothing, or `None` for none.
        batch_size: Integer >= 1, images at a time.
        seed: Integer >= 0, of all random numbers.

    Raises:
        InputError: If one of them is out of range, or an attack or bound does
            not know the threat model.
    """

    attacks: tuple[str, ...] = ("pgd",)
    bounds: tuple[str, ...] = ()
    epsilon: float = 8 / 255
    step_size: float | None = None
    num_steps: int = 50
    num_restarts: int = 10
    threat_model: str = "linf"
    smoothing: SmoothingSettings | None = None
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self, EVALUATION)
        for radius in (EPSILON, STEP_SIZE):
            value = getattr(self, radius.name)
            radius.check_within(value, self.threat_model)
        for name in self.attacks:
            ATTACKS.entry(name).check_threat_model(self.threat_model)
        if self.bounds and self.threat_model != "linf":
            raise InputError(
                f"`bounds`={','.join(self.bounds)} needs `threat_model`=linf. "
                f"Received: threat_model={self.threat_model!r}"
            )

    @property
    def attack_arguments(self) -> dict[str, Any]:
        """What attacks can be given, by name."""
        step_size = self.step_size
        return {
            "epsilon": self.epsilon,
            "threat_model": self.threat_model,
            "seed": self.seed,
            "num_steps": self.num_steps,
            "step_size": self.epsilon / 4 if step_size is None else step_size,
            "num_restarts": self.num_restarts,
        }

    @functools.cached_property
    def attack_records(self) -> dict[str, dict[str, Any]]:
        """All settings of each attack, for `metrics.json`."""
        return {
            name: ATTACKS.entry(name).describe(self.attack_arguments)
            for name in self.attacks
        }

    @functools.cached_property
    def proof_records(self) -> dict[str, dict[str, Any]]:
        """All settings of each proof, for `metrics.json`."""
        records: dict[str, dict[str, Any]] = {
            name: {
                "epsilon": self.epsilon,
                "threat_model": "linf",
                "dtype": "float32",
            }
            for name in self.bounds
        }
        chosen = self.smoothing
        if chosen is None:
            return records
        for radius in chosen.radii:
            records[smoothing_name(radius)] = {
                "radius": radius,
                "threat_model": "l2",
                "sigma": chosen.sigma,
                "num_samples": chosen.num_samples,
                "num_selection_samples": chosen.n0,
                "alpha": chosen.alpha,
                "seed": self.seed,
            }
        return records

    def matches(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry of `metrics.json` was measured with these settings.

        Args:
            entry: What `Evaluation.to_dict` returned, read from the file; it
                may hold further attacks.
        """
        wanted = files.as_json(self.attack_records)
        measured = entry.get("attacks", {})
        return (
            all(measured.get(name) == each for name, each in wanted.items())
            and set(entry.get("robust_accuracy", {})) >= set(wanted)
            and entry.get("certification", {})
            == files.as_json(self.proof_records)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CertificationSettings:
    """How a network is certified, image by image.

    Attributes:
        method: A method of `hydra_tf.bounds`, or `"smoothing"`.
        radii: Floats >= 0, the radii certified: Linf for bounds, by default
            1/255, 2/255, 4/255, 8/255; L2 for smoothing, by default 0.25,
            0.5, 0.75, 1.
        sigma: Float > 0, standard deviation of smoothing's noise.
        n0: Integer >= 1, noisy copies that choose an image's class.
        n: Integer >= 1, noisy copies that bound the share of that class.
        alpha: Float in (0, 1), probability of a wrong certificate.
        dtype: `"float32"` or `"float64"`, in which bounds are computed.
        batch_size: Integer >= 1, images (with smoothing: noisy copies) at a
            time; by default as many as are sensible.
        seed: Integer >= 0, of smoothing's noise.

    Raises:
        InputError: If one of them is out of range.
    """

    method: str = "crown_ibp"
    radii: tuple[float, ...] | None = None
    sigma: float = 0.25
    n0: int = 100
    n: int = 10_000
    alpha: float = 0.001
    dtype: str = "float32"
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self, CERTIFICATION)
        for radius in self.certified_radii:
            _RADIUS.check_within(radius, self.threat_model)

    @property
    def smooths(self) -> bool:
        """Whether the method is randomised smoothing."""
        return self.method == SMOOTHING

    @property
    def threat_model(self) -> str:
        """The norm of the radii."""
        return "l2" if self.smooths else "linf"

    @property
    def certified_radii(self) -> tuple[float, ...]:
        """The radii, also where none were given; they rise."""
        if self.radii is None:
            return _DEFAULT_RADII[self.threat_model]
        return self.radii

    @property
    def record(self) -> dict[str, Any]:
        """What decides the method's answers besides the radii."""
        if self.smooths:
            return {
                "sigma": self.sigma,
                "n0": self.n0,
                "n": self.n,
                "alpha": self.alpha,
                "seed": self.seed,
            }
        return {"dtype": self.dtype}


def smoothing_name(radius: float) -> str:
    """Returns what smoothing's certified accuracy at a radius is called."""
    return f"{SMOOTHING}@{radius:g}"
