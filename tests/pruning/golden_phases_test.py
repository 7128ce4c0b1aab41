"""Phases compute and train what those of the original system do."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import RobustModel
from hydra_tf import objectives
from hydra_tf import set_phase
from hydra_tf import to_masked
from hydra_tf import training
from tests import golden
from tests import tiny_net


class TestGoldenPhases:
    """The logits, losses and gradients of the original system."""

    ARRAYS = golden.load("phases")

    def masked_net(self, phase, density):
        model = to_masked(tiny_net.tiny_net(self.ARRAYS))
        for name in tiny_net.LAYERS:
            layer = model.get_layer(name)
            layer.density = density
            layer.scores.assign(self.ARRAYS[f"{name}_scores"])
        set_phase(model, phase)
        return model

    def loss_of(self, logits):
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                self.ARRAYS["y"], logits
            )
        )

    def gradients(self, model):
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = model(self.ARRAYS["x"], training=True)
            loss = self.loss_of(logits)
        gradients = tape.gradient(loss, [v.value for v in variables])
        return (
            logits,
            loss,
            {v.path: g for v, g in zip(variables, gradients, strict=True)},
        )

    @pytest.mark.parametrize(
        ("prefix", "density"), [("k100", 1.0), ("k050", 0.5), ("k010", 0.1)]
    )
    @pytest.mark.parametrize("phase", ["prune", "finetune"])
    def test_gradients(self, prefix, density, phase):
        arrays = self.ARRAYS
        model = self.masked_net(phase, density)
        for name in tiny_net.LAYERS:
            np.testing.assert_array_equal(
                model.get_layer(name).mask, arrays[f"{prefix}_mask_{name}"]
            )
        logits, loss, gradients = self.gradients(model)
        np.testing.assert_allclose(
            logits, arrays[f"{prefix}_logits"], rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(loss, arrays[f"{prefix}_loss"], rtol=1e-4)
        trained = ["scores"] if phase == "prune" else ["kernel", "bias"]
        assert len(gradients) == len(trained) * len(tiny_net.LAYERS)
        for name in tiny_net.LAYERS:
            for variable in trained:
                expected = arrays[f"{prefix}_{phase}_grad_{name}_{variable}"]
                gradient = np.asarray(gradients[f"{name}/{variable}"])
                np.testing.assert_allclose(
                    gradient, expected, atol=1e-4 * np.abs(expected).max()
                )
                if variable == "kernel":
                    pruned = arrays[f"{prefix}_mask_{name}"] == 0
                    assert not gradient[pruned].any()

    def fit(self, model, after_step):
        arrays = self.ARRAYS
        robust = RobustModel(model, objectives.Natural())
        optimizer = training.SGD(
            0.1,
            momentum=float(arrays["traj_momentum"]),
            weight_decay=float(arrays["traj_weight_decay"]),
        )
        robust.compile(optimizer)
        losses = []
        for learning_rate in arrays["traj_lrs"]:
            optimizer.learning_rate = float(learning_rate)
            history = robust.fit(
                arrays["x"], arrays["y"], batch_size=6, verbose=0
            )
            losses += history.history["loss"]
            after_step()
        return losses

    def test_six_steps_of_prune(self):
        arrays = self.ARRAYS
        model = self.masked_net("prune", float(arrays["traj_k"]))

        def masks():
            return [
                np.asarray(model.get_layer(name).mask)
                for name in tiny_net.LAYERS
            ]

        history = [masks()]
        kernels = [
            np.asarray(model.get_layer(name).kernel) for name in tiny_net.LAYERS
        ]
        losses = self.fit(model, lambda: history.append(masks()))
        np.testing.assert_allclose(losses, arrays["traj_prune_loss"], rtol=1e-4)
        # history[t] is the mask of step t; the last was never used.
        changes = [
            [np.sum(a != b) for a, b in zip(one, other, strict=True)]
            for one, other in zip(history[:5], history[1:6], strict=True)
        ]
        np.testing.assert_array_equal(
            changes, arrays["traj_prune_mask_changes"]
        )
        for name, mask, kernel in zip(
            tiny_net.LAYERS, history[5], kernels, strict=True
        ):
            np.testing.assert_array_equal(
                mask, arrays[f"traj_prune_last_mask_{name}"]
            )
            layer = model.get_layer(name)
            np.testing.assert_allclose(
                layer.scores,
                arrays[f"traj_prune_final_{name}_scores"],
                atol=1e-5,
            )
            np.testing.assert_array_equal(layer.kernel, kernel)
            np.testing.assert_array_equal(layer.bias, arrays[f"{name}_bias"])

    def test_six_steps_of_finetune(self):
        arrays = self.ARRAYS
        model = self.masked_net("finetune", float(arrays["traj_k"]))
        losses = self.fit(model, lambda: None)
        np.testing.assert_allclose(
            losses, arrays["traj_finetune_loss"], rtol=1e-4
        )
        for name in tiny_net.LAYERS:
            layer = model.get_layer(name)
            kept = np.asarray(layer.mask) == 1
            kernel = np.asarray(layer.kernel)
            np.testing.assert_allclose(
                kernel[kept],
                arrays[f"traj_finetune_final_{name}_kernel"][kept],
                atol=1e-5,
            )
            # Unlike in the original, which lets them decay unseen.
            np.testing.assert_array_equal(
                kernel[~kept], arrays[f"{name}_kernel"][~kept]
            )
            np.testing.assert_allclose(
                layer.bias,
                arrays[f"traj_finetune_final_{name}_bias"],
                atol=1e-5,
            )
            np.testing.assert_array_equal(
                layer.scores, arrays[f"{name}_scores"]
            )
