"""Training under a robust objective: model, optimizers, schedules."""

from hydra_tf.schedules import IntervalWeight as IntervalWeight
from hydra_tf.schedules import LinearRamp as LinearRamp
from hydra_tf.schedules import Ramp as Ramp
from hydra_tf.schedules import SmoothedRamp as SmoothedRamp
from hydra_tf.training.best_weights import BestWeights as BestWeights
from hydra_tf.training.harp import Compression as Compression
from hydra_tf.training.learning_rates import ConstantRate as ConstantRate
from hydra_tf.training.learning_rates import CosineRate as CosineRate
from hydra_tf.training.learning_rates import EpochSchedule as EpochSchedule
from hydra_tf.training.learning_rates import StepRate as StepRate
from hydra_tf.training.learning_rates import learning_rate as learning_rate
from hydra_tf.training.multistep import TrainedScores as TrainedScores
from hydra_tf.training.optimizers import SGD as SGD
from hydra_tf.training.optimizers import Adam as Adam
from hydra_tf.training.optimizers import RMSprop as RMSprop
from hydra_tf.training.robust_model import RobustModel as RobustModel
