"""Proofs by bounds in batches."""

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.evaluation import BoundProver

# Two pixels; the class is 1 where the first is larger. The last is wrong.
IMAGES = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.45, 0.55], [0.7, 0.1]],
    np.float32,
)
LABELS = np.array([1, 1, 0, 0, 0])


def network():
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.array([[-1.0, 1.0], [1.0, -1.0]])])
    return model


def test_batches_shrink_where_memory_is_short():
    prover = BoundProver(network(), "ibp", batch_size=4)
    compute, sizes = prover._certified, []

    def short_of_memory(x, y, epsilon):
        sizes.append(len(y))
        if len(y) > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return compute(x, y, epsilon)

    prover._certified = short_of_memory
    proved = prover(IMAGES, LABELS, 0.1)
    assert proved.tolist() == [True, False, True, False, False]
    assert sizes == [4, 2, 1, 1, 1, 1, 1]


def test_proofs_run_at_full_precision():
    prover = BoundProver(network(), "ibp")
    compute, switches = prover._certified, []
    enabled = tf.config.experimental.tensor_float_32_execution_enabled

    def watched(*arguments):
        switches.append(enabled())
        return compute(*arguments)

    prover._certified = watched
    before = enabled()
    prover(IMAGES, LABELS, 0.1)
    assert switches == [False]
    assert enabled() == before


def test_no_images_need_no_proof():
    assert BoundProver(network(), "ibp")(IMAGES[:0], LABELS[:0], 0.1).size == 0
