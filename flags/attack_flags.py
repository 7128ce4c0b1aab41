"""Flags of the attacks that evaluate a network."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import certification_flags
from flags import objective_flags
from flags import parsing

# The names of `hydra_tf.attacks`; those of cleverhans carry its name.
ATTACKS = (
    "pgd",
    "pgd_margin",
    "fgsm",
    "cleverhans_fgm",
    "cleverhans_bim",
    "cleverhans_pgd",
    "cleverhans_mim",
    "cleverhans_cw_l2",
    "cleverhans_spsa",
)

# Attacks that measure perturbations in one norm only.
_THREAT_MODELS = {"cleverhans_cw_l2": "l2", "cleverhans_spsa": "linf"}

_EVAL_ATTACKS = parsing.DEFINE_names(
    "eval_attacks",
    ("pgd",),
    ATTACKS,
    "Attacks under which the robust accuracy is measured, separated by "
    f"commas: {', '.join(ATTACKS)}.",
)
_EVAL_EPSILON = parsing.DEFINE_number(
    "eval_epsilon",
    None,
    "Radius of the evaluation attacks. By default --epsilon.",
    lower=0,
    hint="the radius for images in [0, 1]",
)
_EVAL_STEP_SIZE = parsing.DEFINE_number(
    "eval_step_size",
    None,
    "Length of a step of the evaluation attacks. By default the radius / 4.",
    lower=0,
    hint="the length of one attack step",
)
_EVAL_NUM_STEPS = parsing.DEFINE_count(
    "eval_num_steps", 50, "Steps of the evaluation attacks.", lower=1
)
_EVAL_NUM_RESTARTS = parsing.DEFINE_count(
    "eval_num_restarts",
    10,
    "Random starts of the evaluation's PGD; an image counts as robust when "
    "it withstands all of them.",
    lower=1,
)
_EVAL_EXAMPLES = parsing.DEFINE_count(
    "eval_examples",
    None,
    "Test images evaluated, the first ones of the split. By default all; of "
    "imagenet2012, of which each needs 0.6 MB of memory, 1000.",
    lower=1,
)
_EVAL_BATCH_SIZE = parsing.DEFINE_count(
    "eval_batch_size",
    None,
    "Images attacked at a time in the evaluation. By default 256.",
    lower=1,
)


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How a network is attacked to measure it; the fields are flags.

    `epsilon`, `step_size` and so on are those of the evaluation.
    """

    attacks: tuple[str, ...]
    epsilon: float
    step_size: float
    num_steps: int
    num_restarts: int
    threat_model: str
    num_examples: int | None
    batch_size: int
    seed: int
    certification: certification_flags.CertificationSettings | None = None

    @property
    def bounds(self) -> tuple[str, ...]:
        """The methods of the certification that need bounds of the network."""
        return self.certification.bounds if self.certification else ()


def evaluation_from_flags(
    objective: objective_flags.ObjectiveSettings, seed: int
) -> EvaluationSettings:
    """Returns the settings that the parsed flags stand for.

    Args:
        objective: What training minimises; its radius is the default.
        seed: Seed of the random starts.

    Raises:
        flags.ValidationError: If an attack knows the other threat model only,
            or the radius is none of images in [0, 1].
    """
    epsilon, threat_model = objective.epsilon, objective.threat_model
    for name, needed in _THREAT_MODELS.items():
        if name in _EVAL_ATTACKS.value and threat_model != needed:
            raise flags.ValidationError(
                f"flag --eval_attacks={','.join(_EVAL_ATTACKS.value)}: {name} "
                f"needs --threat_model={needed}, not {threat_model}"
            )
    if _EVAL_EPSILON.value is not None:
        epsilon = _EVAL_EPSILON.value
        objective_flags.check_radius("eval_epsilon", epsilon, threat_model)
    step_size = _EVAL_STEP_SIZE.value
    return EvaluationSettings(
        attacks=tuple(_EVAL_ATTACKS.value),
        epsilon=epsilon,
        step_size=epsilon / 4 if step_size is None else step_size,
        num_steps=_EVAL_NUM_STEPS.value,
        num_restarts=_EVAL_NUM_RESTARTS.value,
        threat_model=threat_model,
        num_examples=_EVAL_EXAMPLES.value,
        batch_size=_EVAL_BATCH_SIZE.value or 256,
        seed=seed,
        certification=certification_flags.certification_from_flags(
            objective, epsilon
        ),
    )
