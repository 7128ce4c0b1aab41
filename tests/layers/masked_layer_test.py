"""What all masked layers share: phases, masks that follow, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import InputError
from hydra_tf import layers
from hydra_tf import set_phase
from hydra_tf import to_masked
from hydra_tf import topk_mask
from hydra_tf.layers import PHASES

SHAPE = (6, 5)


def random_array(seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense_layer(phase=None, density=0.3, **arguments):
    layer = layers.MaskedDense(
        SHAPE[1], density=density, phase=phase, **arguments
    )
    layer.build((None, SHAPE[0]))
    return layer


def dense_model(phase=None, density=0.3, **arguments):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.MaskedDense(
                16, "relu", density=density, phase=phase, **arguments
            ),
            layers.MaskedDense(3, density=density, phase=phase, **arguments),
        ]
    )


def expected_mask(layer):
    return topk_mask(np.asarray(layer.scores), float(layer.density)).numpy()


INPUTS = random_array(0, (64, 6))
LABELS = np.argmax(INPUTS @ random_array(1, (6, 3)), axis=-1)


class TestPhases:
    @pytest.mark.parametrize(
        ("phase", "trained"),
        [
            (None, {"kernel", "bias", "scores"}),
            ("pretrain", {"kernel", "bias"}),
            ("prune", {"scores"}),
            ("finetune", {"kernel", "bias"}),
        ],
    )
    def test_decide_what_trains(self, phase, trained):
        layer = dense_layer(phase)
        assert {v.name for v in layer.trainable_variables} == trained
        layer.trainable = False
        assert not layer.trainable_variables
        layer.trainable = True
        assert {v.name for v in layer.trainable_variables} == trained
        assert layer.phase == phase

    def test_frozen_layer_stays_frozen_through_the_phases(self):
        layer = dense_layer()
        layer.trainable = False
        for phase in PHASES:
            layer.phase = phase
            assert not layer.trainable_variables
        layer.trainable = True
        assert {v.name for v in layer.trainable_variables} == {"kernel", "bias"}

    def test_pretrain_ignores_density(self):
        layer = dense_layer("pretrain", density=0.1)
        np.testing.assert_array_equal(layer.mask, np.ones(SHAPE))
        np.testing.assert_array_equal(layer.effective_kernel, layer.kernel)

    @pytest.mark.parametrize("phase", [None, "prune", "finetune"])
    def test_mask_is_the_top_k_of_the_scores(self, phase):
        layer = dense_layer(phase)
        assert np.sum(layer.mask) == 9
        assert layer.mask.dtype == tf.float32
        np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    def test_unknown_phase(self):
        with pytest.raises(InputError, match="Did you mean 'prune'"):
            layers.MaskedDense(3, phase="prunes")
        with pytest.raises(InputError, match="one of pretrain, prune"):
            dense_layer().phase = "search"

    def test_density_outside_its_range(self):
        with pytest.raises(InputError, match=r"`density` must be in \(0, 1\]"):
            layers.MaskedDense(3, density=0.0)
        layer = dense_layer()
        with pytest.raises(InputError, match="Received: density=1.5"):
            layer.density = 1.5
        assert float(layer.density) == 0.3

    def test_lora_and_quantisation_are_refused(self):
        with pytest.raises(InputError, match="lora"):
            layers.MaskedDense(3, lora_rank=2)
        with pytest.raises(InputError, match="strip the masks first"):
            dense_layer().enable_lora(2)
        with pytest.raises(InputError, match="cannot be quantised"):
            dense_layer().quantize("int8")


class TestMaskFollows:
    def test_assigned_scores(self):
        layer = dense_layer("finetune")
        layer.scores.assign(random_array(7))
        np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    def test_assigned_density(self):
        layer = dense_layer("finetune")
        layer.density = 0.8
        assert np.sum(layer.mask) == 24
        layer.density.assign(0.1)
        assert np.sum(layer.mask) == 3
        np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    def test_compiled_function_sees_it(self):
        layer = dense_layer("finetune", use_bias=False)
        call = tf.function(layer)
        inputs = tf.constant(random_array(2, (4, 6)))
        call(inputs)
        layer.scores.assign(random_array(7))
        np.testing.assert_allclose(
            call(inputs),
            inputs @ (np.asarray(layer.kernel) * expected_mask(layer)),
            atol=1e-6,
        )

    def test_scores_trained_in_the_prune_phase(self):
        layer = dense_layer("prune")
        # As optimisers do it: past the variable of Keras.
        layer.scores.value.assign(random_array(3))
        np.testing.assert_array_equal(layer.mask, expected_mask(layer))
        layer.phase = "finetune"
        np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    @pytest.mark.parametrize("source_phase", ["prune", "finetune"])
    def test_restored_checkpoint(self, source_phase, tmp_path):
        source = dense_model("prune")
        for layer in source.layers:
            layer.scores.value.assign(random_array(4, layer.scores.shape))
            layer.density = 0.6
        set_phase(source, source_phase)
        path = tf.train.Checkpoint(model=source).write(str(tmp_path / "c"))
        target = dense_model("finetune")
        tf.train.Checkpoint(model=target).read(path).assert_consumed()
        for old, new in zip(source.layers, target.layers, strict=True):
            np.testing.assert_array_equal(new.scores, old.scores)
            assert float(new.density) == 0.6
            np.testing.assert_array_equal(new.mask, expected_mask(old))

    def test_set_weights(self):
        source, target = dense_model("prune"), dense_model("finetune")
        for layer in source.layers:
            layer.scores.value.assign(random_array(4, layer.scores.shape))
        target.set_weights(source.get_weights())
        for old, new in zip(source.layers, target.layers, strict=True):
            np.testing.assert_array_equal(new.mask, expected_mask(old))

    def test_loaded_weights_file(self, tmp_path):
        source, target = dense_model("prune"), dense_model("finetune")
        for layer in source.layers:
            layer.scores.value.assign(random_array(4, layer.scores.shape))
            layer.density = 0.1
        path = str(tmp_path / "w.weights.h5")
        source.save_weights(path)
        target.load_weights(path)
        for old, new in zip(source.layers, target.layers, strict=True):
            assert float(new.density) == 0.1  # not rounded to float32
            np.testing.assert_array_equal(new.kernel, old.kernel)
            np.testing.assert_array_equal(new.mask, expected_mask(old))

    def test_weights_file_of_a_plain_model_is_refused(self, tmp_path):
        plain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
        masked = to_masked(plain)
        path = str(tmp_path / "w.weights.h5")
        plain.save_weights(path)
        with pytest.raises(ValueError, match="not written by this masked"):
            masked.load_weights(path)


class TestScores:
    def test_start_scaled_from_the_initial_kernel(self):
        layer = dense_layer()
        kernel = np.asarray(layer.kernel)
        np.testing.assert_allclose(
            layer.scores, kernel / np.abs(kernel).max(), rtol=1e-6
        )  # fan_in is 6

    def test_of_a_kernel_of_zeros_are_zeros(self):
        layer = dense_layer(kernel_initializer="zeros")
        np.testing.assert_array_equal(layer.scores, np.zeros(SHAPE))
        assert np.sum(layer.mask) == 9

    def test_start_from_an_initializer(self):
        layer = dense_layer(scores_initializer=keras.initializers.Constant(2.0))
        np.testing.assert_array_equal(layer.scores, np.full(SHAPE, 2.0))


class TestPlainFit:
    @pytest.mark.parametrize("phase", [None, *PHASES])
    def test_trains_with_the_exact_count(self, phase):
        model = dense_model(phase)
        before = [np.asarray(layer.kernel) for layer in model.layers]
        scores = [np.asarray(layer.scores) for layer in model.layers]
        model.compile(
            keras.optimizers.SGD(0.3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=2,
        )
        history = model.fit(
            INPUTS, LABELS, batch_size=16, epochs=6, verbose=0, shuffle=False
        ).history["loss"]
        assert history[-1] < history[0]
        for layer, kernel, score in zip(
            model.layers, before, scores, strict=True
        ):
            trained = {v.name for v in layer.trainable_variables}
            assert np.array_equal(layer.kernel, kernel) == (
                "kernel" not in trained
            )
            assert np.array_equal(layer.scores, score) == (
                "scores" not in trained
            )
            kept = layer.kernel.shape[0] * layer.kernel.shape[1]
            if phase != "pretrain":
                kept = -(-3 * kept // 10)
                np.testing.assert_array_equal(layer.mask, expected_mask(layer))
            assert np.sum(layer.mask) == kept
            effective = np.asarray(layer.effective_kernel)
            assert not effective[np.asarray(layer.mask) == 0].any()

    @pytest.mark.parametrize("phase", [None, "finetune"])
    def test_builds_lazily(self, phase):
        model = keras.Sequential(
            [
                layers.MaskedDense(8, "relu", density=0.3, phase=phase),
                layers.MaskedDense(3, density=0.5, phase=phase),
            ]
        )
        model.compile(
            "sgd",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(INPUTS, LABELS, verbose=0)
        for layer in model.layers:
            np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    def test_mask_before_build(self):
        with pytest.raises(AttributeError, match="build the layer .*`mask`"):
            layers.MaskedDense(3, density=0.5).mask  # noqa: B018

    @pytest.mark.slow
    def test_trains_under_xla(self):
        model = dense_model("prune")
        eager = dense_model("prune")
        for each, jit_compile in ((model, True), (eager, False)):
            each.compile(
                keras.optimizers.SGD(0.3),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                jit_compile=jit_compile,
            )
            each.fit(
                INPUTS,
                LABELS,
                epochs=2,
                verbose=0,
                shuffle=False,
                batch_size=32,
            )
        for one, other in zip(model.layers, eager.layers, strict=True):
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
            np.testing.assert_array_equal(one.mask, other.mask)

    @pytest.mark.parametrize("phase", ["prune", "finetune"])
    def test_trains_in_mixed_bfloat16(self, phase):
        model = dense_model(phase, dtype="mixed_bfloat16")
        model.compile(
            keras.optimizers.SGD(0.3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            run_eagerly=True,
        )
        history = model.fit(
            INPUTS, LABELS, batch_size=16, epochs=6, verbose=0
        ).history["loss"]
        assert history[-1] < history[0]
        for layer in model.layers:
            assert layer.kernel.dtype == "float32"
            assert layer.scores.dtype == "float32"
            assert layer.effective_kernel.dtype == tf.bfloat16
            np.testing.assert_array_equal(layer.mask, expected_mask(layer))

    def test_scores_gradient_is_not_rounded_in_mixed_bfloat16(self):
        layer = dense_layer("prune", dtype="mixed_bfloat16")
        kernel = random_array(3)
        layer.kernel.assign(kernel)
        layer.scores.assign(np.ones(SHAPE))
        with tf.GradientTape() as tape:
            outputs = layer(np.ones((1, 6), "float32"))
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32))
        np.testing.assert_array_equal(
            tape.gradient(loss, layer.scores.value), kernel
        )
