"""The attacks: how robust accuracy is measured.

To add one, write it in a file of `hydra_tf/attacks/` and its row here. It is
called as `attack(model, x, y, *, epsilon, ...)` and returns images within the
ball; of `step_size`, `num_steps`, `threat_model`, `num_restarts`, `seed` and
`indices` it gets those that it names. A user's own has the same signature and
is written `package.module:name`, or added by `hydra_tf.attacks.register`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Radius
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry

THREAT_MODELS = ("linf", "l2")

EPSILON = Radius(
    name="epsilon",
    flag="eval_epsilon",
    default=8 / 255,
    help="Radius of the evaluation attacks. By default --epsilon.",
)
STEP_SIZE = Radius(
    name="step_size",
    flag="eval_step_size",
    default=None,
    help="Length of a step of the evaluation attacks. By default the radius "
    "/ 4.",
)
NUM_STEPS = Count(
    name="num_steps",
    flag="eval_num_steps",
    default=50,
    lower=1,
    help="Steps of the evaluation attacks.",
)
NUM_RESTARTS = Count(
    name="num_restarts",
    flag="eval_num_restarts",
    default=10,
    lower=1,
    help="Random starts of the evaluation's PGD; an image counts as robust "
    "when it withstands all of them.",
)
THREAT_MODEL = Choice(
    name="threat_model",
    default="linf",
    choices=THREAT_MODELS,
    help="Norm in which the radius is measured.",
)
NUM_QUERIES = Count(
    name="num_queries",
    flag=None,
    default=5000,
    lower=1,
    help="Changes that Square Attack tries on an image.",
)
RESCALED = Switch(
    name="rescaled",
    flag=None,
    default=True,
    help="Whether the squares shrink in proportion to the queries.",
)
NUM_TARGETS = Count(
    name="num_targets",
    flag=None,
    default=9,
    lower=1,
    help="Classes that a targeted attack tries.",
)
FMN_STEP_SIZE = Number(
    name="step_size",
    flag=None,
    default=1.0,
    lower=0,
    exclude_lower=True,
    help="Length of the first step of FMN.",
)
RADIUS_STEP = Number(
    name="radius_step",
    flag=None,
    default=0.05,
    lower=0,
    upper=1,
    exclude_lower=True,
    exclude_upper=True,
    help="By which share the radius of FMN changes in its first step.",
)
FMN_LOSS = Choice(
    name="loss",
    flag=None,
    default="margin",
    choices=("margin", "ce", "dlr"),
    help="What leads FMN out of the class.",
)
OPTIMIZER = Choice(
    name="optimizer",
    flag=None,
    default="sgd",
    choices=("sgd", "adam", "adamax"),
    help="How FMN's steps follow its gradients.",
)
DIRECTION = Choice(
    name="direction",
    flag=None,
    default="unit",
    choices=("unit", "steepest"),
    help="Whether FMN follows the gradient or, in Linf, its signs.",
)
SCHEDULE = Choice(
    name="schedule",
    flag=None,
    default="cosine",
    choices=("cosine", "plateau", "constant"),
    help="How FMN's step size falls.",
)
SEED = Count(name="seed", default=0, help="Seed of the random starts.")

# Of single attacks and of AutoAttack, in Python alone.
APGD_LOSS = Choice(
    name="loss",
    flag=None,
    default="ce",
    choices=("ce", "dlr", "dlr_targeted"),
    help="What APGD climbs.",
)
TARGET = Count(
    name="target",
    flag=None,
    help="Rank of the only class that a targeted attack tries.",
)
TARGETED = Switch(
    name="targeted",
    flag=None,
    default=True,
    help="Whether an attack tries one class after the other.",
)
NUM_SAMPLES = Count(
    name="num_samples",
    flag=None,
    default=1,
    lower=1,
    help="Passes whose gradients are averaged.",
)
AUTOATTACK_VERSION = Choice(
    name="version",
    flag=None,
    default="standard",
    choices=("standard", "plus", "rand"),
    help="Which attacks AutoAttack runs.",
)
BATCH_SIZE = Count(
    name="batch_size",
    flag="eval_batch_size",
    default=256,
    lower=1,
    help="Images attacked at a time in the evaluation.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackEntry(Entry):
    """A row of `ATTACKS`.

    Attributes:
        threat_models: Norms of the perturbations that it knows.
        fixed: Arguments that make this row of its target.
        compiled: Whether it may be traced into a `tf.function`; if not, it is
            called eagerly.
        library: The package it comes from, where that is not this one.
        ensemble: Whether it is AutoAttack: several attacks, each on what
            withstood those before.
        minimum_norm: Whether it looks for the smallest perturbation, of any
            size where `epsilon` is `None`. An evaluation runs it without
            limit, for robust accuracy at every radius.
        black_box: Whether it needs no gradients.
    """

    threat_models: tuple[str, ...] = THREAT_MODELS
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compiled: bool = False
    library: str = ""
    ensemble: bool = False
    minimum_norm: bool = False
    black_box: bool = False

    def reads(self, name: str) -> bool:
        """Whether it has a setting of that name."""
        return any(setting.name == name for setting in self.settings)

    @property
    def restarts(self) -> bool:
        """Whether an evaluation starts it several times."""
        return self.reads(NUM_RESTARTS.name)

    def check_threat_model(self, threat_model: str) -> None:
        """Raises `InputError` if it does not know a threat model."""
        if threat_model not in self.threat_models:
            raise InputError(
                f"the attack {self.name!r} needs `threat_model`="
                f"{' or '.join(self.threat_models)}. "
                f"Received: threat_model={threat_model!r}"
            )

    def describe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all settings of the attack, for `metrics.json`.

        Args:
            values: The settings of the evaluation, by name.
        """
        names = [EPSILON.name, THREAT_MODEL.name, SEED.name]
        names += [
            setting.name
            for setting in (NUM_STEPS, STEP_SIZE, NUM_RESTARTS)
            if self.reads(setting.name)
        ]
        described = {name: values[name] for name in names} | dict(self.fixed)
        if self.library:
            described["library"] = self.library
        return described

    def load(self) -> Any:
        """Returns the attack.

        Raises:
            InputError: If a user's own cannot be imported.
        """
        attack = super().load()
        return functools.partial(attack, **self.fixed) if self.fixed else attack


def _pgd(name: str, help: str, loss: str) -> AttackEntry:
    return AttackEntry(
        name=name,
        target="hydra_tf.attacks.pgd:pgd",
        help=help,
        settings=(EPSILON, STEP_SIZE, NUM_STEPS, THREAT_MODEL, NUM_RESTARTS),
        fixed={"loss": loss, "random_start": True},
        compiled=True,
    )


def _apgd(name: str, help: str, loss: str) -> AttackEntry:
    return AttackEntry(
        name=name,
        target="hydra_tf.attacks.apgd:apgd",
        help=help,
        settings=(EPSILON, NUM_STEPS, THREAT_MODEL, NUM_RESTARTS),
        fixed={"loss": loss},
        compiled=True,
    )


def _fmn(name: str, help: str, **fixed: Any) -> AttackEntry:
    return AttackEntry(
        name=name,
        target="hydra_tf.attacks.fmn:fmn",
        help=help,
        settings=(EPSILON, NUM_STEPS, THREAT_MODEL, RADIUS_STEP),
        fixed=fixed,
        compiled=True,
        minimum_norm=True,
    )


def _cleverhans(name: str, help: str, *settings: Any, **fields: Any):
    return AttackEntry(
        name=f"cleverhans_{name}",
        target=f"hydra_tf.attacks.cleverhans_bridge:{name}",
        help=f"{help}, of cleverhans",
        settings=(EPSILON, THREAT_MODEL, *settings),
        library="cleverhans",
        **fields,
    )


ATTACKS: Registry[AttackEntry] = Registry(
    "attack",
    (
        _pgd("pgd", "PGD on the cross-entropy", "ce"),
        _pgd("pgd_margin", "PGD on the margin loss", "margin"),
        AttackEntry(
            name="fgsm",
            target="hydra_tf.attacks.fgsm:fgsm",
            help="one step of the gradient's sign",
            settings=(EPSILON, THREAT_MODEL),
            compiled=True,
        ),
        _apgd("apgd", "Auto-PGD on the cross-entropy", "ce"),
        _apgd("apgd_dlr", "Auto-PGD on the ratio of logits", "dlr"),
        _apgd("apgd_t", "Auto-PGD towards each class", "dlr_targeted"),
        AttackEntry(
            name="autoattack",
            target="hydra_tf.attacks.autoattack:autoattack",
            help="AutoAttack: APGD, targeted APGD and FAB, Square",
            settings=(EPSILON, THREAT_MODEL),
            fixed={AUTOATTACK_VERSION.name: AUTOATTACK_VERSION.default},
            ensemble=True,
        ),
        AttackEntry(
            name="fab",
            target="hydra_tf.attacks.fab:fab",
            help="targeted FAB, which looks for the smallest perturbation",
            settings=(EPSILON, NUM_STEPS, THREAT_MODEL, NUM_TARGETS),
            fixed={NUM_TARGETS.name: NUM_TARGETS.default},
            compiled=True,
        ),
        _fmn("fmn", "FMN, which looks for the smallest perturbation"),
        # Options of the adversarial-pruning benchmark; its own figures are
        # those of the first, with step sizes tuned for each network.
        _fmn(
            "fmn_dlr",
            "FMN on the ratio of logits, along the steepest descent",
            loss="dlr",
            direction="steepest",
        ),
        _fmn(
            "fmn_plateau",
            "as fmn_dlr, its step size halved on plateaus",
            loss="dlr",
            direction="steepest",
            schedule="plateau",
        ),
        _fmn(
            "fmn_adam",
            "FMN on the ratio of logits, by Adam",
            loss="dlr",
            optimizer="adam",
            step_size=0.05,
        ),
        AttackEntry(
            name="square",
            target="hydra_tf.attacks.square:square",
            help="Square Attack, a random search that needs no gradient",
            settings=(EPSILON, THREAT_MODEL, NUM_QUERIES),
            fixed={NUM_QUERIES.name: NUM_QUERIES.default},
            compiled=True,
            black_box=True,
        ),
        _cleverhans(
            "pgd",
            "PGD, as an independent check",
            STEP_SIZE,
            NUM_STEPS,
            Switch(
                name="random_start",
                default=True,
                help="Whether it starts uniformly within the ball.",
            ),
        ),
        _cleverhans(
            "mim",
            "the momentum iterative method",
            STEP_SIZE,
            NUM_STEPS,
            Number(
                name="decay_factor",
                default=1.0,
                lower=0,
                help="Decay of the momentum.",
            ),
        ),
        _cleverhans(
            "cw_l2",
            "the smallest perturbation of Carlini and Wagner",
            NUM_STEPS,
            Count(
                name="binary_search_steps",
                default=5,
                lower=1,
                help="Steps of the search for the weight of the loss.",
            ),
            Number(
                name="confidence",
                default=0.0,
                lower=0,
                help="Margin by which the other class must lead.",
            ),
            Number(
                name="initial_const",
                default=0.01,
                lower=0,
                help="First weight of the loss.",
            ),
            Switch(
                name="abort_early",
                default=True,
                help="Whether a search step ends when the loss stalls.",
            ),
            threat_models=("l2",),
        ),
        _cleverhans(
            "spsa",
            "SPSA, which needs no gradient",
            NUM_STEPS,
            Number(
                name="delta",
                default=0.01,
                lower=0,
                help="Length of the finite differences.",
            ),
            Count(
                name="num_samples",
                default=128,
                lower=2,
                help="Points by which a gradient is estimated, even.",
            ),
            Number(
                name="early_stop_loss_threshold",
                default=None,
                help="Loss at which it stops; by default never.",
            ),
            threat_models=("linf",),
            black_box=True,
        ),
    ),
    AttackEntry,
)

register = ATTACKS.register
