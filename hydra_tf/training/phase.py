"""A phase of training: all that determines its result, but for data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf import pruning as pruning_methods
from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked
from hydra_tf.objectives import Objective
from hydra_tf.objectives.base import check_objective
from hydra_tf.objectives.verifiable import VerifiableObjective
from hydra_tf.phases import check_phase
from hydra_tf.registry import training as registry
from hydra_tf.training.attack_settings import AttackSettings
from hydra_tf.training.optimizer_settings import GivenOptimizer
from hydra_tf.training.optimizer_settings import OptimizerSettings
from hydra_tf.training.perturbation import Perturbation
from hydra_tf.training.validation import validation_attack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of training; `train_phase` runs it.

    Args:
        name: `"pretrain"`, `"prune"` or `"finetune"`.
        epochs: Integer >= 0; 0 leaves the weights as they are.
        objective: What is minimised.
        optimizer: Optimiser and learning rates.
        pruning: A `hydra_tf.pruning.Pruning`, where the phase has to know more
            than its network: multi-step pruning, learned densities, courses.
        seed: Integer >= 0.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        weight_averaging: Float in [0, 1), decay of a moving average of the
            weights, which validation measures and the phase ends with; 0 for
            none.
        weight_perturbation: Float in [0, 1), radius of `Perturbation.weights`
            where the phase trains weights; 0 for none. Scores that train are
            perturbed as `pruning` says.
        perturbation_warmup: Integer >= 0, epochs before perturbations begin.
        quantize: `"none"`, or `"int8"`: the finetune phase computes with
            weights and activations rounded to 8 bits.
        select: `"last"` or `"best"`: the epoch that the phase ends with; the
            best needs images to validate by.
        patience: Integer >= 0; above 0 the phase stops early once so many
            epochs in a row were no better, and ends with the best.
        validation_attack: The objective whose `perturb` attacks in validation;
            by default `hydra_tf.training.validation_attack` of `objective`.
        attacks: How the attacks of its steps are made cheaper.
        attacked_input: Name of the images among several inputs of the network,
            as for `hydra_tf.RobustModel`.
        settings: Further settings to record by name, such as those of the
            data.

    Raises:
        InputError: If an argument is out of range, or a warm-up is as long as
            the phase.
    """

    name: str
    epochs: int
    objective: Objective
    optimizer: OptimizerSettings | GivenOptimizer = OptimizerSettings()
    pruning: Any = None
    seed: int = 0
    precision: str = "float32"
    weight_averaging: float = 0.0
    weight_perturbation: float = 0.0
    perturbation_warmup: int = 0
    quantize: str = registry.QUANTIZE.default
    select: str = "last"
    patience: int = 0
    validation_attack: Objective | None = None
    attacks: AttackSettings = AttackSettings()
    attacked_input: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_phase(self.name)
        check_objective(self.objective)
        registry.EPOCHS.check(self.epochs)
        registry.SEED.check(self.seed)
        registry.PRECISION.check(self.precision)
        registry.SELECT.check(self.select)
        registry.PATIENCE.check(self.patience)
        for setting in registry.WEIGHTS:
            setting.check(getattr(self, setting.name))
        registry.QUANTIZE.check(self.quantize)
        if self.quantizes and (self.name != "finetune" or not self.epochs):
            raise InputError(
                f"`quantize`='{self.quantize}' is for a finetune phase that "
                f"trains. Received: phase={self.name!r}, epochs={self.epochs}"
            )
        if self.quantizes and isinstance(self.objective, VerifiableObjective):
            raise InputError(
                f"`quantize`='{self.quantize}' is not for objectives with "
                "bounds, which know nothing of rounded activations. "
                f"Received: objective={self.objective!r}"
            )
        _check_attack(self.validation_attack)
        self.attacks.check(self.objective)
        if self.pruning is not None and not isinstance(
            self.pruning, pruning_methods.Pruning
        ):
            raise InputError(
                "`pruning` must be a hydra_tf.Pruning. "
                f"Received: pruning={self.pruning!r}"
            )
        if self.attacked_input is not None and self.multistep:
            raise InputError(
                f"`attacked_input`={self.attacked_input!r} is not for pruning "
                "in rounds, which train scores of networks of one input: take "
                "another method"
            )
        self.optimizer.check(self.name, self.epochs)
        if self.perturbation and self.perturbation_warmup >= self.epochs:
            raise InputError(
                f"`perturbation_warmup`={self.perturbation_warmup} must be "
                f"less than the {self.epochs} epochs of the {self.name} phase"
            )

    @property
    def selects_best(self) -> bool:
        """Whether the phase ends with its best epoch on the validation data."""
        return self.select == "best" or self.patience > 0

    @property
    def quantizes(self) -> bool:
        """Whether the phase computes with rounded weights and activations."""
        return self.quantize != registry.QUANTIZE.default

    @property
    def multistep(self) -> bool:
        """Whether the phase prunes in rounds, with training between them."""
        return self.prunes and self.pruning.multistep and self.epochs > 0

    @property
    def follows_course(self) -> bool:
        """Whether masks move while the weights train, by a method's course."""
        return self.prunes and self.pruning.entry.is_course and self.epochs > 0

    @property
    def trains_kernels(self) -> bool:
        """Whether a phase that prunes trains weights, as finetuning does."""
        return self.multistep or self.follows_course

    @property
    def learns_densities(self) -> bool:
        """Whether the phase itself learns densities, not a round within it."""
        return (
            self.prunes and self.pruning.learns_densities and not self.multistep
        )

    @property
    def prunes(self) -> bool:
        """Whether the phase is one of a pruning method that is known."""
        return self.name == "prune" and self.pruning is not None

    @property
    def trains(self) -> str:
        """What trains, as the phase of the masked layers says it."""
        # Between rounds, and while masks move, weights train as in finetuning.
        return "finetune" if self.trains_kernels else self.name

    @property
    def perturbation(self) -> Perturbation | None:
        """What perturbs the weights or the scores that train, if anything."""
        weights = scores = 0.0
        if self.trains != "prune":
            weights = self.weight_perturbation
        elif self.prunes and self.pruning.trains_scores:
            scores = self.pruning.score_perturbation
        if not self.epochs or not (weights or scores):
            return None
        return Perturbation(
            weights=weights,
            scores=scores,
            warmup_epochs=self.perturbation_warmup,
        )

    def record(self) -> dict[str, Any]:
        """Returns what determines the result, by name."""
        record: dict[str, Any] = {
            "epochs": self.epochs,
            "seed": self.seed,
            "precision": self.precision,
            **self.optimizer.record(self.name),
        }
        if self.epochs:
            record |= _describe(self.objective)
            record["select"] = "best" if self.selects_best else "last"
            record["patience"] = self.patience
            record |= self.attacks.record()
            record["weight_averaging"] = self.weight_averaging
            record["weight_perturbation"] = (
                0.0 if self.trains == "prune" else self.weight_perturbation
            )
            record["perturbation_warmup"] = (
                self.perturbation_warmup if self.perturbation else 0
            )
            record["quantize"] = self.quantize
            record["attacked_input"] = self.attacked_input
            # Where validation may decide something.
            if (
                self.selects_best
                or self.follows_course
                or self.learns_densities
            ):
                record["validation_attack"] = repr(
                    self.validation_attack or validation_attack(self.objective)
                )
        if self.prunes:
            record |= self.pruning.in_use()
        return record | dict(self.settings)

    def set_phase(self, network: keras.Model) -> None:
        """Tells masked layers which of their variables train."""
        if not find_masked(network) or (
            # Its masks stay for whoever prunes or finetunes it next.
            self.name == "pretrain" and not self.epochs
        ):
            return
        pruning_methods.set_phase(
            network,
            self.trains,
            train_normalization=getattr(
                self.pruning, "train_normalization", True
            ),
        )


def check_perturbed(*phases: Phase) -> None:
    """Raises `InputError` if no phase reads what it has of a perturbation.

    Args:
        *phases: The phases of one course, with the same arguments.
    """
    used = [phase.perturbation for phase in phases if phase.perturbation]
    given = phases[0]
    if given.weight_perturbation and not any(each.weights for each in used):
        raise InputError(
            f"`weight_perturbation`={given.weight_perturbation:g} has no "
            "effect: no weights train; scores are perturbed by "
            "`score_perturbation`"
        )
    if given.perturbation_warmup and not used:
        raise InputError(
            f"`perturbation_warmup`={given.perturbation_warmup} has no effect "
            "without `weight_perturbation` or `score_perturbation`"
        )


def _check_attack(attack: Any) -> None:
    if attack is not None and not isinstance(attack, Objective):
        raise InputError(
            "`validation_attack` must be an objective, whose `perturb` "
            "attacks, such as hydra_tf.objectives.Madry(). Received: "
            f"validation_attack={attack!r}"
        )


def _describe(objective: Objective) -> dict[str, Any]:
    """Returns an objective's class and settings by name."""
    config: dict[str, Any] = getattr(objective, "get_config", dict)()
    return {"objective": type(objective).__name__} | {
        name: keras.saving.serialize_keras_object(value)
        for name, value in config.items()
    }
