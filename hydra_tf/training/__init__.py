"""Training: optimizers and schedules."""

from hydra_tf.training.optimizers import SGD
from hydra_tf.training.optimizers import Adam
from hydra_tf.training.optimizers import RMSprop
from hydra_tf.training.schedules import ConstantRate
from hydra_tf.training.schedules import CosineRate
from hydra_tf.training.schedules import EpochSchedule
from hydra_tf.training.schedules import IntervalWeight
from hydra_tf.training.schedules import LinearRamp
from hydra_tf.training.schedules import Ramp
from hydra_tf.training.schedules import SmoothedRamp
from hydra_tf.training.schedules import StepRate
from hydra_tf.training.schedules import learning_rate

__all__ = [
    "SGD",
    "Adam",
    "ConstantRate",
    "CosineRate",
    "EpochSchedule",
    "IntervalWeight",
    "LinearRamp",
    "RMSprop",
    "Ramp",
    "SmoothedRamp",
    "StepRate",
    "learning_rate",
]
