"""Objectives: what training minimises in every phase."""

from hydra_tf.objectives.adversarial import FGSM
from hydra_tf.objectives.adversarial import AdversarialObjective
from hydra_tf.objectives.adversarial import Madry
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.base import call_perturb
from hydra_tf.objectives.mart import MART
from hydra_tf.objectives.natural import Natural
from hydra_tf.objectives.registry import create
from hydra_tf.objectives.registry import names
from hydra_tf.objectives.smoothing import RandomizedSmoothing
from hydra_tf.objectives.trades import TRADES

__all__ = [
    "FGSM",
    "MART",
    "TRADES",
    "AdversarialObjective",
    "Madry",
    "Natural",
    "Objective",
    "RandomizedSmoothing",
    "call_perturb",
    "create",
    "names",
]
