"""Training under a robust objective: model, optimizers, learning rates."""

from hydra_tf.training.best_weights import BestWeights
from hydra_tf.training.compression import Compression
from hydra_tf.training.learning_rates import ConstantRate
from hydra_tf.training.learning_rates import CosineRate
from hydra_tf.training.learning_rates import EpochSchedule
from hydra_tf.training.learning_rates import StepRate
from hydra_tf.training.learning_rates import learning_rate
from hydra_tf.training.multistep import TrainedScores
from hydra_tf.training.optimizers import SGD
from hydra_tf.training.optimizers import Adam
from hydra_tf.training.optimizers import RMSprop
from hydra_tf.training.recipes import peak_learning_rate
from hydra_tf.training.recipes import ramp_of_phase
from hydra_tf.training.robust_model import RobustModel

__all__ = [
    "SGD",
    "Adam",
    "BestWeights",
    "Compression",
    "ConstantRate",
    "CosineRate",
    "EpochSchedule",
    "RMSprop",
    "RobustModel",
    "StepRate",
    "TrainedScores",
    "learning_rate",
    "peak_learning_rate",
    "ramp_of_phase",
]
