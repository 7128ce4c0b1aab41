"""Dynamic model pruning with feedback.

Reference:

- [Lin et al., 2020](https://arxiv.org/abs/2006.07253), algorithm 1
"""

from __future__ import annotations

from hydra_tf.pruning.courses.base import Course


class Feedback(Course):
    """All weights train, under masks of the largest that are renewed.

    The gradient is taken at the pruned network and applied to all weights, so
    that one which was pruned too early grows until it is back. Where masks stay
    for long, what is pruned grows out of all proportion: they are renewed 24
    times an epoch, of CIFAR-10 in batches of 128 every 16 steps, as in the
    paper.

    Reference:

    - [Lin et al., 2020](https://arxiv.org/abs/2006.07253), algorithm 1
    """

    dense_gradients = True
    trains_pruned = True
    updates_per_epoch = 24
