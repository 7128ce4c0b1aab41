"""Dynamic model pruning with feedback.

Reference:

- [Lin et al., 2020](https://arxiv.org/abs/2006.07253), algorithm 1
"""

from __future__ import annotations

from hydra_tf.pruning.courses.base import Course


class Feedback(Course):
    """All weights train, under masks of the largest that are renewed.

    The gradient is taken at the pruned network and applied to all weights, so
    that one which was pruned too early grows until it is back.

    Reference:

    - [Lin et al., 2020](https://arxiv.org/abs/2006.07253), algorithm 1
    """

    dense_gradients = True
    trains_pruned = True
