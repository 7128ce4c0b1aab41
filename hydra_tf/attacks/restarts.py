"""Attacking from several starting points: one rule of seeds, two loops.

Restart 0 of a seed attacks with the seed itself, each other one with a stream
of its own. `pgd` restarts within a graph and keeps the worst point of every
image; an evaluation wants to know only which images withstand, and attacks
again those alone that have withstood so far. As an image's noise depends on
seed, restart and the image's index, both come to the same accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf.attacks import noise
from hydra_tf.ops.rows import choose


def restart_seed(seed: tf.Tensor | None, restart: int | tf.Tensor):
    """Returns the seed of a restart.

    Args:
        seed: Stateless seed of the attack, or `None` for fresh noise.
        restart: Integer >= 0, the number of the restart.
    """
    if seed is None:
        return None
    return tf.where(tf.equal(restart, 0), seed, noise.fold_seed(seed, restart))


def worst_of_restarts(
    num_restarts: int | tf.Tensor,
    images: tf.Tensor,
    attack: Callable[[tf.Tensor], tf.Tensor],
    outcome_of: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
) -> tf.Tensor:
    """Returns, for each image, the worst of the points that restarts reach.

    Args:
        num_restarts: Integer >= 1.
        images: Float32 images.
        attack: From the number of a restart to the points it reaches.
        outcome_of: From points to whether each is misclassified, and its
            loss. Misclassified points are worse than others, then those of
            higher loss.
    """
    rows = tf.shape(images)[:1]
    row_shape = images.shape[:1]

    def attack_once(restart, worst, worst_broken, worst_loss):
        x_adv = attack(restart)
        broken, loss = outcome_of(x_adv)
        # Not "greater": a loss that is NaN must not hide behind the images.
        higher = tf.logical_not(loss <= worst_loss)
        better = tf.where(broken == worst_broken, higher, broken)
        return (
            restart + 1,
            choose(better, x_adv, worst),
            tf.where(better, broken, worst_broken),
            tf.where(better, loss, worst_loss),
        )

    num_restarts = tf.cast(num_restarts, tf.int32)
    _, worst, _, _ = tf.while_loop(
        lambda restart, *_: restart < num_restarts,
        attack_once,
        (
            tf.constant(0),
            images,
            tf.ensure_shape(tf.fill(rows, False), row_shape),
            tf.ensure_shape(tf.fill(rows, -float("inf")), row_shape),
        ),
        shape_invariants=(
            tf.TensorShape([]),
            images.shape,
            row_shape,
            row_shape,
        ),
        parallel_iterations=1,
    )
    return worst


def attack_survivors(
    attack: Callable[[np.ndarray, int], np.ndarray],
    withstood: np.ndarray,
    *,
    num_restarts: int,
    batch_size: int,
    restart: int = 0,
    position: int = 0,
) -> Iterator[tuple[int, int]]:
    """Attacks, restart by restart, the images that withstood all before.

    Args:
        attack: From the indices of a batch and the number of the restart to
            which of those images withstand.
        withstood: Bool array of the images to attack, which is updated batch
            by batch.
        num_restarts: Integer >= 1.
        batch_size: Integer >= 1, images at a time.
        restart: Where to resume: the restart that was reached, and
        position: the index of the next image in it.

    Yields:
        After every batch, where the attack would be resumed.
    """
    for number in range(restart, num_restarts):
        # Images before the position are done; of those after it none is
        # updated before its batch: batches are the same when resumed.
        active = np.flatnonzero(withstood)
        active = active[active >= position]
        for first in range(0, len(active), batch_size):
            interrupts.check()
            rows = active[first : first + batch_size]
            withstood[rows] = attack(rows, number)
            yield number, int(rows[-1]) + 1
        position = 0
