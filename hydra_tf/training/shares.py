"""The share that a worker has of each global batch."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.training.train_data import TrainData


def batches_of(
    train: TrainData, strategy: tf.distribute.Strategy, **epochs: Any
) -> Any:
    """Returns the batches for `fit` under a strategy.

    On many workers each makes its own rows alone, of the batches that one
    process would have; elsewhere `fit` divides whole batches.

    Args:
        train: The images and labels.
        strategy: The strategy.
        **epochs: Arguments of `TrainData.dataset`.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return train.dataset(**epochs)

    def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        rows = train.dataset(
            **epochs, shard=(context.input_pipeline_id, workers)
        )
        return divided(rows, context.num_replicas_in_sync // workers)

    return strategy.distribute_datasets_from_function(share)


def divided(batches: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Returns each batch as one for every replica, the last ones smaller.

    Args:
        batches: A dataset of batches.
        replicas: Number of replicas of this worker.
    """
    if replicas == 1:
        return batches

    def parts(*batch: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]
        size = (rows + replicas - 1) // replicas

        def part(number: tf.Tensor) -> Any:
            # Perhaps of no rows.
            return tf.nest.map_structure(
                lambda each: each[number * size : (number + 1) * size], batch
            )

        return tf.data.Dataset.range(replicas).map(part)

    return batches.flat_map(parts)
