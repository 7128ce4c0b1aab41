"""Masked layers that compute with the values of an int8 network."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.export import export_litert
from hydra_tf.export import litert_function
from hydra_tf.layers import fake_quantized
from hydra_tf.ops.fake_quantization import fake_quantized_activations
from tests.export import networks


@pytest.fixture
def masked():
    model = networks.pruned()
    ht.pruning.set_phase(model, "finetune")
    return model


def outputs(model, images):
    return model(images, training=False).numpy()


def test_rounding_is_as_large_as_that_of_the_int8_file(masked, tmp_path):
    images = networks.images(200)
    path = tmp_path / "int8.tflite"
    export_litert(masked, path, quantize="int8", representative=images)
    exact = outputs(masked, images)
    with fake_quantized(masked):
        rounded = fake_quantized_activations(outputs(masked, images))
    of_file = np.std(litert_function(path)(images) - exact)
    assert 0.7 < np.std(rounded.numpy() - exact) / of_file < 1.4


def test_kernels_are_those_of_the_int8_file(masked, tmp_path):
    path = tmp_path / "int8.tflite"
    images = networks.images(40)
    export_litert(masked, path, quantize="int8", representative=images)
    dense = masked.get_layer("dense")
    with fake_quantized(masked):
        rounded = dense.effective_kernel.numpy()
    ((details, integers),) = [
        (details, array)
        for details, array in networks.constants(path)
        if array.dtype == np.int8 and array.shape == rounded.T.shape
    ]
    scales = details["quantization_parameters"]["scales"]
    in_file = (integers * scales[:, None]).T
    # Which of two integers is nearer may be undecided.
    assert np.mean(np.abs(in_file - rounded) > 1e-6) < 1e-3


def test_layers_round_within_the_context_only(masked):
    layer = masked.get_layer("dense")
    images = networks.images(4)
    exact = layer.effective_kernel.numpy()
    with fake_quantized(masked):
        rounded = layer.effective_kernel.numpy()
        with ht.layers.reuse_effective_kernels(masked):
            shared = outputs(masked, images)
        np.testing.assert_array_equal(shared, outputs(masked, images))
        assert not np.array_equal(rounded, exact)
        assert np.all(rounded[exact == 0] == 0)
        # What is stripped has the weights as they train.
        plain = ht.strip_masks(masked).get_layer("dense")
        np.testing.assert_array_equal(plain.kernel.numpy(), exact)
    np.testing.assert_array_equal(layer.effective_kernel.numpy(), exact)


def test_contexts_nest_and_predict_forgets(masked):
    images = networks.images(4)
    exact = masked.predict(images, verbose=0)
    with fake_quantized(masked):
        with fake_quantized(masked):
            pass
        rounded = outputs(masked, images)
        inside = masked.predict(images, verbose=0)
        np.testing.assert_allclose(inside, rounded, atol=1e-6)
        assert not np.allclose(inside, exact, atol=1e-6)
    np.testing.assert_array_equal(masked.predict(images, verbose=0), exact)


def test_inputs_round_however_they_are_given(masked):
    layer = masked.get_layer("dense")
    values = np.random.default_rng(0).random((3, layer.kernel.shape[0]))
    values = keras.ops.convert_to_tensor(values, "float32")
    with fake_quantized(masked):
        np.testing.assert_array_equal(layer(values), layer(inputs=values))


def test_layers_of_several_weights_and_of_indices_round():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(7, 6),
            keras.layers.LSTM(4),
            keras.layers.Dense(2),
        ]
    )
    masked = ht.to_masked(model, density=0.5)
    ht.pruning.set_phase(masked, "finetune")
    words = np.arange(10).reshape(2, 5) % 7
    exact = outputs(masked, words)
    with fake_quantized(masked):
        rounded = outputs(masked, words)
    assert 0 < np.abs(rounded - exact).max() < 0.05


TRAIN = (networks.images(64), np.arange(64) % 4)


def finetuned(masked, **changes):
    arguments = {
        "epochs": 2,
        "learning_rate": 0.05,
        "quantize": "int8",
        **changes,
    }
    objective = ht.objectives.Madry(epsilon=0.05, step_size=0.02, num_steps=2)
    return ht.training.run_phase(
        masked,
        arguments.pop("phase", "finetune"),
        TRAIN,
        objective,
        **arguments,
    )


def test_finetuning_with_rounding_trains_another_float_network(masked):
    start = networks.pruned()
    ht.pruning.set_phase(start, "finetune")
    plain = finetuned(start, quantize="none")
    aware = finetuned(masked)
    images = networks.images(8)
    assert not np.array_equal(outputs(plain, images), outputs(aware, images))
    before = outputs(aware, images)
    with fake_quantized(aware):
        assert not np.array_equal(outputs(aware, images), before)
    for layer in ht.masked_layers(aware).values():
        stays = layer.mask.numpy() == 1
        assert np.array_equal(layer.effective_kernel.numpy() != 0, stays)


@pytest.mark.slow
def test_a_phase_resumes_with_the_rounding_it_began_with(tmp_path):
    whole = finetuned(networks.pruned())
    with pytest.raises(KeyboardInterrupt):
        finetuned(
            networks.pruned(),
            folder=tmp_path,
            callbacks=[_StopsAfter(1)],
        )
    with pytest.raises(InputError, match="quantize"):
        finetuned(networks.pruned(), folder=tmp_path, quantize="none")
    resumed = finetuned(networks.pruned(), folder=tmp_path)
    images = networks.images(8)
    np.testing.assert_array_equal(
        outputs(resumed, images), outputs(whole, images)
    )


class _StopsAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self._epochs:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "mixed_bfloat16"},
        {"strategy": "mirrored:2", "epochs": 1},
        {"weight_perturbation": 0.01, "weight_averaging": 0.9},
    ],
)
def test_rounding_goes_with_other_ways_of_training(masked, changes):
    before = masked.get_layer("dense").kernel.numpy()
    trained = finetuned(masked, **changes)
    kernel = trained.get_layer("dense").effective_kernel.numpy()
    assert np.all(np.isfinite(kernel)) and not np.array_equal(kernel, before)


def test_bounds_are_not_for_rounded_activations():
    with pytest.raises(InputError, match="`quantize`='int8' is not for obj"):
        ht.training.Phase(
            name="finetune",
            epochs=1,
            objective=ht.objectives.IBP(epsilon=0.1),
            quantize="int8",
        )


@pytest.mark.parametrize(
    "changes", [{"phase": "prune"}, {"phase": "pretrain"}, {"epochs": 0}]
)
def test_other_phases_do_not_round(masked, changes):
    with pytest.raises(InputError, match="`quantize`='int8' is for a finetune"):
        finetuned(masked, **changes)


def test_an_unknown_width_is_refused(masked):
    with pytest.raises(InputError, match="quantize.*int8.*int4"):
        finetuned(masked, quantize="int4")
