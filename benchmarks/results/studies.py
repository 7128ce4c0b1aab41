"""What is studied: images, networks, objectives, budgets, measurements."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# Attacks by purpose, and what they need beside the radius. An image counts as
# robust if it withstands all of them.
MEASURED_BY: dict[str, dict[str, Any]] = {
    "selection": {
        "attacks": ("pgd", "pgd_margin"),
        "num_steps": 30,
        "num_restarts": 2,
    },
    "final": {"attacks": ("autoattack",)},
}
# The share of the training images that cells of a selection are measured on;
# seeds take turns with its parts.
FOLDS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A data set and what is trained on it.

    Attributes:
        name: Of the study; its rows are in `<name>.tsv`.
        dataset: Name for `hydra_tf.data.load`.
        image_shape: Of the images.
        networks: Names for `hydra_tf.models.create`; the first by default.
        objectives: Settings of each objective, without the radius, by its name
            or another that is given beside a `"name"`; the first by default.
        epsilon: Radius of evaluation, and of training by default.
        weight_decay: Of all phases.
        pretrain_rate: Peak learning rate of pretraining.
        epochs: Of pretrain, prune and finetune phase. Methods that have no
            prune phase, or no other, train for as many in all.
        rates: Peak rates for weights that are tried, the first to begin with.
        score_rates: The same for scores.
        one_cycle_rates: The same for weights from fresh ones on, in one cycle.
        radii: Those of training that are tried, the first to begin with; None
            is `epsilon`. The steps of attacks grow with them.
        densities: Those of the table.
        num_test: Number of test images that final cells are measured on, by
            network: AutoAttack has its price, see `docs/results.md`.
        num_validation: Largest number of held-out images that select.
        keeps_epochs: Whether a cell that was stopped resumes at its last epoch
            rather than at its beginning: for cells that take minutes.
        precision: Of training, but for TFMOT's, which is in float32. Figures
            are always measured in float32.
    """

    name: str
    dataset: str
    image_shape: tuple[int, int, int]
    networks: tuple[str, ...]
    objectives: Mapping[str, Mapping[str, Any]]
    epsilon: float
    weight_decay: float
    pretrain_rate: float
    epochs: tuple[int, int, int]
    rates: tuple[float, ...]
    score_rates: tuple[float, ...]
    one_cycle_rates: tuple[float, ...]
    radii: tuple[float | None, ...]
    densities: tuple[float, ...]
    num_test: Mapping[str, int]
    num_validation: int
    keeps_epochs: bool
    precision: str = "float32"


STUDIES = {
    study.name: study
    for study in (
        Study(
            name="digits",
            dataset="digits",
            image_shape=(8, 8, 1),
            networks=("digits_model",),
            objectives={"madry": {"step_size": 0.0375, "num_steps": 7}},
            epsilon=0.15,
            weight_decay=1e-4,
            pretrain_rate=0.1,
            epochs=(40, 20, 40),
            rates=(0.1, 0.05, 0.2, 0.3),
            score_rates=(0.3, 0.1),
            one_cycle_rates=(0.3, 0.2, 0.4),
            radii=(None, 0.17, 0.19),
            densities=(0.05, 0.02, 0.01, 0.005),
            num_test={"digits_model": 360},
            num_validation=10_000,
            keeps_epochs=False,
        ),
        Study(
            name="cifar10",
            dataset="cifar10",
            image_shape=(32, 32, 3),
            networks=(
                "cifar_model",
                "cifar_model_large",
                "resnet18_narrow",
                "vgg11_bn_narrow",
            ),
            objectives={
                "fgsm": {},
                "n_fgsm": {"name": "fgsm", "noise_magnitude": 2.0},
                "trades": {"step_size": 2 / 255, "num_steps": 10},
                "madry": {"step_size": 2 / 255, "num_steps": 7},
            },
            epsilon=8 / 255,
            weight_decay=5e-4,
            pretrain_rate=0.03,
            epochs=(8, 4, 8),
            rates=(0.03, 0.1, 0.01),
            score_rates=(0.1, 0.3),
            one_cycle_rates=(0.05, 0.1, 0.03),
            radii=(None, 10 / 255, 12 / 255),
            densities=(0.1, 0.05, 0.01, 0.001),
            num_test={
                "cifar_model": 500,
                "cifar_model_large": 300,
                "resnet18_narrow": 200,
                "vgg11_bn_narrow": 300,
            },
            num_validation=2000,
            keeps_epochs=True,
            precision="mixed_bfloat16",
        ),
    )
}
