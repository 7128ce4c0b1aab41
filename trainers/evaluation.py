"""Measuring a network as the flags say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from hydra_tf import evaluation
from hydra_tf.registry.evaluation import SMOOTHING

if TYPE_CHECKING:
    from flags.attack_flags import EvaluationSettings


def evaluate(
    model: Callable[..., Any],
    images: np.ndarray,
    labels: np.ndarray,
    settings: EvaluationSettings,
    progress: str = "auto",
) -> evaluation.Evaluation:
    """Measures a network on images; see `hydra_tf.evaluation.evaluate`."""
    return evaluation.evaluate(
        model, images, labels, library_settings(settings), progress=progress
    )


def library_settings(
    settings: EvaluationSettings,
) -> evaluation.EvaluationSettings:
    """Returns the library's settings for those of the flags."""
    chosen = settings.certification
    smoothing = None
    if chosen and SMOOTHING in chosen.methods:
        smoothing = evaluation.SmoothingSettings(
            sigma=chosen.sigma,
            radii=chosen.radii,
            num_samples=chosen.num_samples,
        )
    return evaluation.EvaluationSettings(
        attacks=settings.attacks,
        bounds=settings.bounds,
        epsilon=settings.epsilon,
        step_size=settings.step_size,
        num_steps=settings.num_steps,
        num_restarts=settings.num_restarts,
        threat_model=settings.threat_model,
        smoothing=smoothing,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
