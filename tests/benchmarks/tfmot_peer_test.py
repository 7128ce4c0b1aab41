"""TFMOT as a peer: the same network in `tf_keras`, pruned by magnitude."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import hydra_tf as ht
from benchmarks import tfmot_peer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def residual():
    """Layers that copies have to get right, with statistics of their own."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1))
    x = keras.layers.ZeroPadding2D(1)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, name="conv")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-5, name="norm")(x)
    y = keras.layers.ReLU()(x)
    y = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="y")(y)
    x = keras.layers.Flatten()(keras.layers.Add()([x, y]))
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(x))
    norm = model.get_layer("norm")
    norm.set_weights([each + 0.5 for each in norm.get_weights()])
    return model


def test_copies_compute_the_same():
    network = residual()
    images = np.random.default_rng(0).random((5, 6, 6, 1), np.float32)
    np.testing.assert_allclose(
        tfmot_peer.copy_of(network)(images), network(images), atol=1e-5
    )


@pytest.mark.slow
def test_largest_weights_of_each_layer_stay():
    network, density = residual(), 0.05
    before = network.get_weights()
    generator = np.random.default_rng(0)
    train = ht.data.from_arrays(
        generator.random((12, 6, 6, 1), np.float32),
        generator.integers(0, 10, 12),
        batch_size=4,
    )
    pruned = tfmot_peer.prune(
        network,
        # Its loss makes two passes of training, which TFMOT counts.
        ht.objectives.TRADES(num_steps=1),
        train,
        density=density,
        ramp_epochs=1,
        epochs=2,
        # Nearly none, so that the order of the weights is known.
        optimizer=ht.training.SGD(1e-12),
        allocation="erk",
    )
    densities = ht.allocation.allocate(ht.to_masked(network), density, "erk")
    assert len(set(densities.values())) == 3
    for name in ("conv", "y", "logits"):
        kernel = network.get_layer(name).kernel.numpy()
        kept = max(round(densities[name] * kernel.size), 1)
        threshold = np.sort(np.abs(kernel), axis=None)[-kept]
        np.testing.assert_allclose(
            pruned.get_layer(name).kernel.numpy(),
            np.where(np.abs(kernel) >= threshold, kernel, 0.0),
            rtol=1e-5,
        )
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_table_has_tfmot_beside_the_others():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.methods_table"),
            *("--seeds=1", "--methods=lwm,tfmot", "--densities=0.5,0.2"),
            *("--attacks=fgsm,apgd", "--pretrain_epochs=12"),
            *("--prune_epochs=1", "--finetune_epochs=1"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout[done.stdout.index("{") :])
    assert [row["network"] for row in record["results"]] == [
        "unpruned",
        *("lwm 0.5", "tfmot 0.5", "lwm 0.2", "tfmot 0.2"),
    ]
    for row in record["results"][1:]:
        wanted = float(row["network"].split()[1])
        assert row["density"] == pytest.approx(wanted, rel=2e-3)
        assert set(row["robust_accuracy"]) == {"fgsm", "apgd"}
        assert row["natural_accuracy"] > 0.5
        assert f"\n{row['network']} " in done.stdout
