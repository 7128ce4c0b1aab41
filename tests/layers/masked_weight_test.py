"""Masks of channels, filters and blocks on layers that know no network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import InputError
from hydra_tf import kept_count
from hydra_tf import layers
from hydra_tf.layers import Channels
from tests import golden
from tests.layers.equality import random_inputs

GOLDEN = golden.load("harp")
CONV = ((None, 8, 8, 10), layers.MaskedConv2D, (5, 3))
DENSE = ((None, 20), layers.MaskedDense, (7,))


def golden_layer(name):
    shape, masked_class, arguments = CONV if name == "conv" else DENSE
    layer = masked_class(*arguments, granularity="channel", phase="prune")
    layer.build(shape)
    layer.kernel.assign(GOLDEN[f"channel_{name}_kernel"])
    layer.scores.assign(GOLDEN[f"channel_{name}_scores"])
    return layer


def largest(scores, count):
    """The mask of the largest magnitudes."""
    mask = np.zeros(len(scores))
    mask[np.argsort(-np.abs(scores), kind="stable")[:count]] = 1
    return mask


@pytest.mark.parametrize("name", ["conv", "dense"])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("case", range(8))
class TestChannelsOfTheOriginal:
    """The original rounds counts to even, down to none; ours are ceilings.

    Masks of the same count are the same, one of another count is that of the
    largest scores.
    """

    def test_masks(self, name, learned, case):
        layer = golden_layer(name)
        rate = float(np.float64(str(GOLDEN[f"channel_{name}_rates"][case])))
        if learned and rate < 1:
            layer.learn_density(0.01, rate)
        else:
            layer.density = rate
        mask = np.asarray(layer.mask)
        channels = mask.max(axis=tuple(range(mask.ndim - 2)) + (mask.ndim - 1,))
        size = len(channels)
        kept = kept_count(rate, size)
        theirs = int(GOLDEN[f"channel_{name}_kept"][case])
        # A rate that was learned is a number near the one asked for.
        assert channels.sum() in ({kept, kept + 1} if learned else {kept})
        assert kept in (theirs, theirs + 1)
        if channels.sum() == theirs:
            np.testing.assert_array_equal(
                channels, GOLDEN[f"channel_{name}_masks"][case]
            )
        scores = GOLDEN[f"channel_{name}_scores"]
        np.testing.assert_array_equal(
            channels, largest(scores, int(channels.sum()))
        )
        np.testing.assert_array_equal(
            mask, np.broadcast_to(channels[:, None], mask.shape)
        )

    def test_gradients(self, name, learned, case):
        layer = golden_layer(name)
        rate = float(GOLDEN[f"channel_{name}_rates"][case])
        least = 0.01
        if learned:
            layer.learn_density(least, min(rate, 0.99))
        else:
            layer.density = rate
        upstream = GOLDEN[f"channel_{name}_upstream"]
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(layer.effective_kernel * upstream)
        sources = [layer.scores.value]
        if learned:
            sources.append(layer.rate.value)
        to_scores, *to_rate = tape.gradient(value, sources)
        expected = GOLDEN[f"channel_{name}_grad_scores"]
        np.testing.assert_allclose(
            to_scores, expected, rtol=1e-3, atol=1e-6 * np.abs(expected).max()
        )
        if learned:
            sigmoid = 1 / (1 + np.exp(-float(layer.rate)))
            slope = (1 - least) * sigmoid * (1 - sigmoid)
            np.testing.assert_allclose(
                to_rate[0],
                GOLDEN[f"channel_{name}_grad_rate"][case] * slope,
                rtol=1e-3,
            )


@pytest.mark.parametrize("case", range(5))
def test_single_weights_of_the_original(case):
    """Its float32 counts keep one weight more now and then, the next one."""
    layer = layers.MaskedConv2D(6, 3, phase="prune")
    layer.build((None, 8, 8, 4))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    layer.scores.assign(GOLDEN["subnet_scores"])
    least, rate = 0.001, float(str(GOLDEN["subnet_rates"][case]))
    layer.learn_density(least, rate)
    theirs, ours = GOLDEN["subnet_masks"][case], np.asarray(layer.mask)
    extra = np.abs(np.ravel(GOLDEN["subnet_scores"])[np.ravel(theirs != ours)])
    assert len(extra) <= 1
    magnitudes = np.sort(np.abs(np.ravel(GOLDEN["subnet_scores"])))[::-1]
    np.testing.assert_array_equal(
        extra, magnitudes[int(ours.sum()) : int(theirs.sum())]
    )
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(
            layer.effective_kernel * GOLDEN["subnet_upstream"]
        )
    to_scores, to_rate = tape.gradient(
        value, [layer.scores.value, layer.rate.value]
    )
    np.testing.assert_allclose(
        to_scores, GOLDEN["subnet_grad_scores"], rtol=1e-3
    )
    sigmoid = 1 / (1 + np.exp(-float(layer.rate)))
    np.testing.assert_allclose(
        to_rate,
        GOLDEN["subnet_grad_rate"][case]
        * (1 - least)
        * sigmoid
        * (1 - sigmoid),
        rtol=1e-3,
    )


# Class, arguments, input shape, axes of the input and of the output channels.
KINDS = {
    "dense": (layers.MaskedDense, {"units": 6}, (2, 5), (0,), (1,)),
    "conv1d": (
        layers.MaskedConv1D,
        {"filters": 6, "kernel_size": 2},
        (2, 7, 5),
        (1,),
        (2,),
    ),
    "conv2d": (
        layers.MaskedConv2D,
        {"filters": 6, "kernel_size": 2},
        (2, 7, 7, 5),
        (2,),
        (3,),
    ),
    "transpose": (
        layers.MaskedConv2DTranspose,
        {"filters": 6, "kernel_size": 2},
        (2, 7, 7, 5),
        (3,),
        (2,),
    ),
    "depthwise": (
        layers.MaskedDepthwiseConv2D,
        {"kernel_size": 2, "depth_multiplier": 2},
        (2, 7, 7, 5),
        (2,),
        (2, 3),
    ),
}


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def make(self, kind, granularity, **arguments):
        masked_class, own, shape, *axes = KINDS[kind]
        layer = masked_class(
            **own, **arguments, granularity=granularity, density=0.5
        )
        layer.build(shape)
        return layer, shape, axes[granularity == "filter"]

    def test_mask_removes_whole_channels(self, kind, granularity):
        layer, shape, axes = self.make(kind, granularity, phase="prune")
        sizes = [layer.kernel.shape[axis] for axis in axes]
        scores = random_inputs((int(np.prod(sizes)),))
        layer.scores.assign(scores)
        kept = largest(scores, -(-len(scores) // 2)).reshape(sizes)
        others = [
            axis for axis in range(len(layer.kernel.shape)) if axis not in axes
        ]
        expected = np.broadcast_to(
            np.expand_dims(kept, others), layer.kernel.shape
        )
        np.testing.assert_array_equal(layer.mask, expected)
        np.testing.assert_array_equal(
            layer.effective_kernel, np.asarray(layer.kernel) * expected
        )
        assert layer.num_units == len(scores)
        plain = layer.plain_class(**KINDS[kind][1])
        plain.build(shape)
        plain.set_weights([np.asarray(layer.kernel) * expected, layer.bias])
        inputs = random_inputs(shape)
        for phase in ("prune", "finetune"):
            layer.phase = phase
            np.testing.assert_allclose(layer(inputs), plain(inputs), atol=1e-6)

    def test_scores_start_as_the_norms_of_channels(self, kind, granularity):
        layer, _, axes = self.make(kind, granularity)
        kernel = np.abs(np.asarray(layer.kernel))
        others = tuple(i for i in range(kernel.ndim) if i not in axes)
        norms = kernel.sum(axis=others).ravel()
        np.testing.assert_allclose(
            layer.scores, np.sqrt(6) * norms / norms.max(), rtol=1e-5
        )

    def test_pretrain_keeps_everything(self, kind, granularity):
        layer, _, _ = self.make(kind, granularity, phase="pretrain")
        np.testing.assert_array_equal(layer.mask, np.ones(layer.kernel.shape))
        np.testing.assert_array_equal(layer.effective_kernel, layer.kernel)

    def test_file(self, kind, granularity, tmp_path):
        layer, shape, _ = self.make(kind, granularity, phase="prune")
        layer.learn_density(0.1, 0.4)
        layer.learns = "rates"
        layer.scores.assign(random_inputs(layer.scores.shape))
        model = keras.Sequential([keras.Input(shape[1:]), layer])
        model.save(str(tmp_path / "model.keras"))
        loaded = keras.models.load_model(str(tmp_path / "model.keras"))
        again = loaded.layers[0]
        assert again.get_config() == layer.get_config()
        assert (again.granularity, again.learns) == (granularity, "rates")
        assert again.min_density == 0.1
        assert float(again.rate) == float(layer.rate)
        inputs = random_inputs(shape)
        np.testing.assert_array_equal(loaded(inputs), model(inputs))
        assert {v.name for v in loaded.trainable_variables} == {"rate"}


class TestChannels:
    """A mask on both sides, of units that are more than one channel."""

    def layer(self, granularity="channel", **arguments):
        layer = layers.MaskedDense(
            4,
            granularity=granularity,
            input_channels=Channels(2, (0, 1, 0, 1, -1)),
            output_channels=Channels(3, (2, -1, 0, 1)),
            phase="prune",
            density=0.5,
            **arguments,
        )
        layer.build((None, 5))
        return layer

    @pytest.mark.parametrize("granularity", ["channel", "filter"])
    def test_mask_of_both_sides_acts_where_channels_are_read(self, granularity):
        layer = self.layer(granularity)
        inputs, outputs = layer.scoring, layer.masked_kernel.other_scoring
        if granularity == "filter":
            inputs, outputs = outputs, inputs
        inputs.values.assign([1.0, -2.0])
        outputs.values.assign([3.0, 0.0, -1.0])
        read = np.array([0, 1, 0, 1, 1])
        made = np.array([1, 1, 1, 0])  # units 0 and 2 of 3
        np.testing.assert_array_equal(layer.mask, np.outer(read, made))
        kernel = np.asarray(layer.kernel)
        np.testing.assert_array_equal(
            layer.effective_kernel, kernel * read[:, None]
        )
        layer.phase = "finetune"
        np.testing.assert_array_equal(
            layer.effective_kernel, kernel * np.outer(read, made)
        )

    def test_scores_of_units_sum_up_their_channels(self):
        layer = self.layer()
        kernel = np.abs(np.asarray(layer.kernel)).sum(axis=1)
        norms = np.array([kernel[0] + kernel[2], kernel[1] + kernel[3]])
        np.testing.assert_allclose(layer.unit_norms(), norms, rtol=1e-6)
        np.testing.assert_allclose(
            layer.scores, np.sqrt(6) * norms / norms.max(), rtol=1e-5
        )

    def test_expected_density_is_the_product_of_both_sides(self):
        layer = self.layer()
        layer.density = 0.25
        layer.masked_kernel.other_scoring.density.assign(0.5)
        # Four of five inputs and three of four outputs can be removed.
        inputs, outputs = 1 / 5 + 4 / 5 * 0.25, 1 / 4 + 3 / 4 * 0.5
        np.testing.assert_allclose(
            layer.expected_density(), inputs * outputs, rtol=1e-6
        )
        np.testing.assert_allclose(layer.expected_density(1.0), 1.0, rtol=1e-6)
        layer.learn_density(0.1, 0.25)
        with tf.GradientTape() as tape:
            value = layer.expected_density()
        sigmoid = 1 / (1 + np.exp(-float(layer.rate)))
        np.testing.assert_allclose(
            tape.gradient(value, layer.rate.value),
            4 / 5 * 0.9 * sigmoid * (1 - sigmoid) * outputs,
            rtol=1e-5,
        )

    def test_channels_that_stay_are_no_units(self):
        layer = layers.MaskedDense(
            4,
            granularity="channel",
            input_channels=Channels(0, (-1,) * 5),
            output_channels=Channels(3, (2, -1, 0, 1)),
            phase="prune",
            density=0.5,
        )
        layer.build((None, 5))
        assert not layer.prunable
        assert layer.num_units == 0
        assert layer.scores.shape == (0,)
        assert not layer.trainable_variables
        layer.masked_kernel.other_scoring.values.assign([3.0, 0.0, -1.0])
        np.testing.assert_array_equal(
            layer.mask, np.broadcast_to([1, 1, 1, 0], (5, 4))
        )
        np.testing.assert_array_equal(layer.effective_kernel, layer.kernel)
        with pytest.raises(InputError, match="channels cannot be removed"):
            layer.learn_density(0.1, 0.5)

    def test_another_number_of_channels_is_a_clear_error(self):
        layer = layers.MaskedDense(
            4,
            granularity="channel",
            input_channels=Channels(3),
            output_channels=Channels(4),
            name="logits",
        )
        with pytest.raises(InputError, match="'logits' was given 3 channels"):
            layer.build((None, 5))


def test_input_channels_of_a_grouped_convolution_are_a_clear_error():
    layer = layers.MaskedConv2D(
        4, 3, groups=2, granularity="channel", name="grouped"
    )
    with pytest.raises(InputError, match="'grouped' is a convolution in gro"):
        layer.build((None, 8, 8, 4))


def test_filters_of_a_grouped_convolution():
    layer = layers.MaskedConv2D(
        4, 3, groups=2, granularity="filter", density=0.5
    )
    layer.build((None, 8, 8, 4))
    layer.scores.assign([1.0, 4.0, -3.0, 2.0])
    np.testing.assert_array_equal(
        layer.mask, np.broadcast_to([0, 1, 1, 0], (3, 3, 2, 4))
    )


class TestBlocks:
    def layer(self, **arguments):
        layer = layers.MaskedDense(
            3, granularity="2:4", phase="prune", name="dense", **arguments
        )
        layer.build((None, 8))
        return layer

    def test_two_of_four_stay(self):
        layer = self.layer()
        mask = np.asarray(layer.mask)
        np.testing.assert_array_equal(mask.reshape(2, 4, 3).sum(axis=1), 2)
        np.testing.assert_array_equal(
            layer.effective_kernel, np.asarray(layer.kernel) * mask
        )
        assert float(layer.density) == 0.5
        assert float(layer.expected_density()) == 0.5
        assert float(layer.expected_density(0.1)) == 0.5

    def test_transposed_convolution_has_its_inputs_last(self):
        layer = layers.MaskedConv2DTranspose(3, 2, granularity="1:4")
        layer.build((None, 5, 5, 8))
        blocks = np.asarray(layer.mask).reshape(2, 2, 3, 2, 4)
        np.testing.assert_array_equal(blocks.sum(axis=-1), 1)

    def test_other_densities_are_clear_errors(self):
        with pytest.raises(InputError, match="granularity 2:4 is 0.5. Receiv"):
            self.layer(density=0.3)
        layer = self.layer(density=0.5)
        layer.density = 0.5
        for density in (0.3, 1.0):
            with pytest.raises(
                InputError, match=f"Received: density={density}"
            ):
                layer.density = density
        for change in (
            lambda: layer.learn_density(0.1, 0.5),
            lambda: layer.stop_learning_density(0.3),
        ):
            with pytest.raises(
                InputError, match="'dense' .* keeps 2:4 weights"
            ):
                change()
        assert float(layer.density) == 0.5

    def test_channels_that_m_does_not_divide_are_a_clear_error(self):
        layer = layers.MaskedDense(3, granularity="4:8", name="dense")
        with pytest.raises(InputError, match="'dense' has 12 input channels"):
            layer.build((None, 12))
