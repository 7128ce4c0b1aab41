"""Objectives: what training minimises in every phase."""

from hydra_tf.objectives.adversarial import AdversarialObjective
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.by_name import create
from hydra_tf.objectives.by_name import names
from hydra_tf.objectives.by_name import register
from hydra_tf.objectives.crown_ibp import CROWNIBP
from hydra_tf.objectives.fgsm import FGSM
from hydra_tf.objectives.free_at import FreeAT
from hydra_tf.objectives.ibp import IBP
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.madry import Madry
from hydra_tf.objectives.mart import MART
from hydra_tf.objectives.mixtrain import MixTrain
from hydra_tf.objectives.natural import Natural
from hydra_tf.objectives.smoothing import RandomizedSmoothing
from hydra_tf.objectives.trades import TRADES
from hydra_tf.objectives.verifiable import VerifiableObjective

__all__ = [
    "CROWNIBP",
    "FGSM",
    "IBP",
    "MART",
    "TRADES",
    "AdversarialObjective",
    "FreeAT",
    "Loss",
    "Madry",
    "MixTrain",
    "Natural",
    "Objective",
    "RandomizedSmoothing",
    "VerifiableObjective",
    "create",
    "names",
    "register",
]
