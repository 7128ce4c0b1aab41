"""Training under a robust objective: phases, model, optimizers, schedules."""

from typing import TYPE_CHECKING

from hydra_tf import later
from hydra_tf.schedules import IntervalWeight
from hydra_tf.schedules import LinearRamp
from hydra_tf.schedules import Ramp
from hydra_tf.schedules import SmoothedRamp
from hydra_tf.training.attack_settings import AttackSettings
from hydra_tf.training.averaging import WeightAverage
from hydra_tf.training.best_weights import BestWeights
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.harp import Compression
from hydra_tf.training.learning_rates import ConstantRate
from hydra_tf.training.learning_rates import CosineRate
from hydra_tf.training.learning_rates import EpochSchedule
from hydra_tf.training.learning_rates import OneCycleRate
from hydra_tf.training.learning_rates import StepRate
from hydra_tf.training.learning_rates import learning_rate
from hydra_tf.training.multistep import TrainedScores
from hydra_tf.training.optimizer_settings import OptimizerSettings
from hydra_tf.training.optimizers import SGD
from hydra_tf.training.optimizers import Adam
from hydra_tf.training.optimizers import RMSprop
from hydra_tf.training.perturbation import Perturbation
from hydra_tf.training.phase import Phase
from hydra_tf.training.phase_training import Execution
from hydra_tf.training.precision import with_precision
from hydra_tf.training.prune import Pruned
from hydra_tf.training.prune import prune
from hydra_tf.training.recipes import peak_learning_rate
from hydra_tf.training.recipes import ramp_of_phase
from hydra_tf.training.robust_model import RobustModel
from hydra_tf.training.run_phase import run_phase
from hydra_tf.training.run_phase import train_phase
from hydra_tf.training.strategy import make_strategy
from hydra_tf.training.validation import validation_attack
from hydra_tf.training.workers import Workers

if TYPE_CHECKING:
    from hydra_tf.training.cluster import connect

__all__ = [
    "SGD",
    "Adam",
    "AttackSettings",
    "BestWeights",
    "Compression",
    "ConstantRate",
    "CosineRate",
    "EpochSchedule",
    "Execution",
    "IntervalWeight",
    "LinearRamp",
    "OneCycleRate",
    "OptimizerSettings",
    "Perturbation",
    "Phase",
    "PhaseCheckpoints",
    "Pruned",
    "RMSprop",
    "Ramp",
    "RobustModel",
    "SmoothedRamp",
    "StepRate",
    "TrainedScores",
    "WeightAverage",
    "Workers",
    "connect",
    "learning_rate",
    "make_strategy",
    "peak_learning_rate",
    "prune",
    "ramp_of_phase",
    "run_phase",
    "train_phase",
    "validation_attack",
    "with_precision",
]

__getattr__ = later.importer(__name__, "cluster:connect")
__dir__ = later.listing(__name__, __all__)
