"""Methods whose masks move while the weights train, in the prune phase."""

from hydra_tf.pruning.courses.base import Course

__all__ = ["Course"]
