"""Layers whose channels live and die together are found and share scores."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from tests.pruning import networks
from tests.pruning.shrinking import random_graphs

STRUCTURED = pytest.mark.parametrize("granularity", ["channel", "filter"])
INPUTS = networks.images((4, 6, 6, 3))


def residual(normalization=None):
    """A residual block with groups of 8 and of 6 channels."""
    normalization = normalization or (
        lambda name: layers.BatchNormalization(name=name)
    )
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = layers.ELU()(normalization("bn_stem")(x))
    y = layers.Conv2D(6, 3, padding="same", name="first")(x)
    y = layers.ELU()(normalization("bn_first")(y))
    y = layers.Conv2D(8, 3, padding="same", name="second")(y)
    x = layers.ELU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(3, name="logits")(x))
    return networks.shake(model, seed=1)


def masked_residual(granularity, phase="prune", seed=0, **arguments):
    model = ht.to_masked(
        residual(**arguments), granularity=granularity, density=0.5
    )
    ht.init_scores(model, "random", seed=seed)
    ht.set_phase(model, phase)
    return model


def names(model):
    return [group.names for group in channel_groups(model)]


def check_shared(model):
    """The layers of a group have one set of variables."""
    for group in channel_groups(model):
        for layer in group.layers.values():
            assert layer.scores is group.leader.scores
            assert layer.rate is group.leader.rate
            assert layer.density is group.leader.density
    scores = {id(group.leader.scores) for group in channel_groups(model)}
    for layer in ht.masked_layers(model).values():
        if layer.masked_kernel.other_scoring is not None:
            assert id(layer.masked_kernel.other_scoring.values) in scores


def flags(channels, scoring, size):
    if channels is None or not channels.prunable:
        return np.ones(size)
    return np.asarray(channels.spread(scoring.mask()))


def check_masks_agree(model):
    """A unit is kept by all layers that read or make it, or by none."""
    kept = {}
    for entry in channel_flow(
        model, lambda layer: isinstance(layer, ht.layers.MaskedLayer)
    ).layers:
        layer = entry.layer
        if not isinstance(layer, ht.layers.MaskedLayer):
            continue
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        own = flags(
            layer.masked_kernel.own, layer.scoring, layer.masked_kernel.own.size
        )
        other = layer.masked_kernel.other
        if depthwise:
            inputs = own
            outputs = np.repeat(own, layer.depth_multiplier)
            expected = np.broadcast_to(inputs[:, None], layer.kernel.shape)
        else:
            sides = [
                own,
                flags(other, layer.masked_kernel.other_scoring, other.size),
            ]
            inputs, outputs = (
                sides[::-1] if layer.granularity == "filter" else sides
            )
            axes = layer.masked_kernel.axes
            expected = np.outer(inputs, outputs)
            if getattr(layer, "groups", 1) > 1:
                assert expected.all()
                expected = np.ones(1)
            shape = axes.unfolded(np.zeros(axes.shape)).shape
            expected = axes.folded(np.broadcast_to(expected, shape))
        np.testing.assert_array_equal(layer.mask, expected)
        for units, flag in ((entry.inputs, inputs), (entry.outputs, outputs)):
            for unit, is_kept in zip(units, flag, strict=True):
                assert kept.setdefault(int(unit), is_kept) == is_kept


def prune_at_random(model, seed):
    rng = np.random.default_rng(seed)
    for group in channel_groups(model):
        group.leader.scores.assign(rng.normal(size=group.num_units))
        group.leader.density = float(rng.uniform(0.1, 1))


def assert_close(one, other):
    for a, b in zip(
        keras.tree.flatten(one), keras.tree.flatten(other), strict=True
    ):
        scale = max(1.0, float(np.abs(a).max()))
        np.testing.assert_allclose(a, b, atol=1e-5 * scale, rtol=0)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(["channel", "filter", "head", "neuron"]), st.data())
def test_any_networks_masks_agree_and_outputs_do_not_change_by_phase(
    granularity, data
):
    plain = random_graphs.set_random_weights(
        random_graphs.network(data.draw, 5)
    )
    try:
        model = ht.to_masked(
            plain,
            exclude=lambda layer: isinstance(layer, layers.SeparableConv2D),
            granularity=granularity,
        )
    except InputError as error:
        assert granularity in ("head", "neuron")
        assert f"has no {granularity}s that can be removed" in str(error)
        return
    inputs = np.random.default_rng(0).normal(size=(2, *plain.input_shape[1:]))
    assert_close(plain(inputs), model(inputs))
    prune_at_random(model, data.draw(st.integers(0, 99)))
    check_shared(model)
    ht.set_phase(model, "prune")
    pruned = model(inputs)
    check_masks_agree(model)
    assert_close(pruned, ht.strip_masks(model)(inputs))
    ht.set_phase(model, "finetune")
    check_masks_agree(model)
    assert_close(pruned, model(inputs))


class TestFound:
    @STRUCTURED
    def test_in_a_residual_block(self, granularity):
        model = ht.to_masked(residual(), granularity=granularity)
        assert names(model) == (
            [("first", "logits"), ("second",)]
            if granularity == "channel"
            else [("stem", "second"), ("first",)]
        )
        assert [g.num_units for g in channel_groups(model)] == [8, 6]
        shapes = {"stem": 216, "first": 432, "second": 432, "logits": 24}
        for group in channel_groups(model):
            assert group.weights == sum(shapes[n] for n in group.names)
            assert group.leader.name == group.names[0]
            assert float(group.leader.live_density) == 1.0

    @STRUCTURED
    def test_with_scores_of_all_their_weights(self, granularity):
        plain = residual()
        model = ht.to_masked(plain, granularity=granularity)

        def norms(name, axes):
            kernel = np.abs(np.asarray(plain.get_layer(name).kernel))
            return kernel.sum(axis=axes)

        expected = (
            norms("first", (0, 1, 3)) + norms("logits", 1)
            if granularity == "channel"
            else norms("stem", (0, 1, 2)) + norms("second", (0, 1, 2))
        )
        group = channel_groups(model)[0]
        np.testing.assert_allclose(group.unit_norms, expected, rtol=1e-6)
        np.testing.assert_allclose(
            group.leader.scores,
            np.sqrt(6) * expected / expected.max(),
            rtol=1e-5,
        )

    def test_of_single_weights_are_the_layers(self):
        model = ht.to_masked(residual())
        assert names(model) == [("stem",), ("first",), ("second",), ("logits",)]
        group = channel_groups(model)[0]
        assert group.num_units == group.weights == 216
        np.testing.assert_array_equal(
            group.unit_norms, np.abs(np.asarray(group.leader.kernel))
        )

    @STRUCTURED
    def test_what_cannot_be_removed_stays(self, granularity):
        image = keras.Input((6, 6, 4))
        x = layers.Conv2D(4, 1, name="stem")(layers.Rescaling(2.0)(image))
        x = layers.Conv2D(4, 1, groups=2, name="grouped")(x)
        x = layers.Conv2D(6, 1, name="free")(x)
        x = layers.Conv2D(6, 1, name="reader")(x)
        y = layers.Conv2D(6, 1, name="plain")(x)
        outputs = layers.Dense(6, name="logits")(layers.Add()([x, y]))
        model = ht.to_masked(
            keras.Model(image, [outputs, layers.Softmax()(outputs)]),
            exclude=["plain"],
            granularity=granularity,
            density=0.5,
        )
        assert names(model) == [
            ("reader",) if granularity == "channel" else ("free",)
        ]
        masks = {
            name: np.asarray(layer.mask)
            for name, layer in ht.masked_layers(model).items()
        }
        assert masks["stem"].all()
        assert masks["grouped"].all()
        assert masks["logits"].all()
        assert masks["free"].sum() == 4 * 3
        assert masks["reader"].sum() == 3 * 6

    @STRUCTURED
    def test_layers_whose_calls_the_graph_does_not_show_stay(self, granularity):
        sequence = keras.Input((5, 3))
        x = layers.TimeDistributed(layers.Dense(4, name="inner"))(sequence)
        x = layers.Dense(6, name="between")(x)
        x = layers.Dense(6, name="after")(x)
        x = layers.TimeDistributed(layers.Dense(2, name="classes"))(x)
        model = ht.to_masked(
            keras.Model(sequence, x), granularity=granularity, density=0.5
        )
        masked = ht.masked_layers(model)
        assert not masked["inner"].prunable
        assert not masked["classes"].prunable
        assert np.asarray(masked["inner"].mask).all()
        assert np.asarray(masked["classes"].mask).all()
        assert len(names(model)) == 1

    def test_divided_channels_stay(self):
        # A masked divisor is zero, and no reader's mask makes up for that.
        image = keras.Input((6, 6, 3))
        x = keras.ops.divide(
            layers.Conv2D(4, 1, name="one")(image),
            layers.Conv2D(4, 1, name="other")(image),
        )
        x = layers.Conv2D(5, 1, name="reader")(x)
        model = keras.Model(image, layers.Dense(3, name="logits")(x))
        model = ht.to_masked(model, granularity="channel")
        assert names(model) == [("logits",)]

    def test_nothing_to_remove_is_a_clear_error(self):
        plain = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        model = ht.to_masked(plain, granularity="channel")
        assert channel_groups(model) == []
        with pytest.raises(InputError, match="no channels that can be removed"):
            ht.set_density(model, 0.5)

    @pytest.mark.slow
    def test_in_resnet18_whatever_its_layers_are_called(self):
        plain = ht.models.create("resnet18", (8, 8, 3), 10)
        labels = list(range(10_000))
        random.Random(0).shuffle(labels)

        def rename_layer(layer):
            config = layer.get_config()
            config["name"] = f"layer_{labels.pop()}"
            return type(layer).from_config(config)

        renamed = keras.models.clone_model(plain, clone_function=rename_layer)

        def found(model, granularity):
            masked = ht.to_masked(model, granularity=granularity)
            order = {
                name: index
                for index, name in enumerate(ht.masked_layers(masked))
            }
            return [
                (tuple(order[name] for name in group.names), group.num_units)
                for group in channel_groups(masked)
            ]

        # Eight blocks have channels of their own. There are four streams: each
        # is read by the first convolutions of its further blocks and of the
        # next stage, with its shortcut (in the end, by the logits), and made
        # by the last convolutions of its blocks and by the shortcut or stem.
        inner = [(1, size) for size in (64, 64, 128, 128, 256, 256, 512, 512)]
        read = [(4, 64), (3, 128), (3, 256), (2, 512)]
        made = [(3, 64), (3, 128), (3, 256), (3, 512)]
        readers = found(plain, "channel")
        assert readers == found(renamed, "channel")
        for streams, groups in (
            (read, readers),
            (made, found(renamed, "filter")),
        ):
            sizes = sorted((len(group), size) for group, size in groups)
            assert sizes == sorted(inner + streams)


def gated(model, gates, inputs, training):
    """The residual network with a factor on every channel that is read."""

    def layer(name):
        return model.get_layer(name)

    def conv(x, name):
        kernel = layer(name).kernel
        return tf.nn.conv2d(x, kernel, 1, "SAME") + layer(name).bias

    wide, narrow = gates
    x = tf.nn.elu(layer("bn_stem")(conv(inputs, "stem"), training=training))
    y = tf.nn.elu(layer("bn_first")(conv(x * wide, "first"), training=training))
    y = conv(y * narrow, "second")
    x = tf.reduce_mean(tf.nn.elu(x + y), axis=(1, 2))
    return tf.matmul(x * wide, layer("logits").kernel) + layer("logits").bias


@STRUCTURED
@pytest.mark.parametrize("training", [False, True])
def test_scores_get_the_gradient_of_a_factor_on_the_channel(
    granularity, training
):
    model = masked_residual(granularity)
    groups = channel_groups(model)
    rng = np.random.default_rng(0)
    for group in groups:
        group.leader.scores.assign(rng.normal(size=group.num_units))
    weights = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    scores = [group.leader.scores.value for group in groups]
    state = model.get_weights()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(INPUTS, training=training) ** 2 * weights)
    gradients = tape.gradient(loss, scores)
    model.set_weights(state)
    gates = [tf.convert_to_tensor(ht.topk_mask(s, 0.5)) for s in scores]
    with tf.GradientTape() as tape:
        tape.watch(gates)
        outputs = gated(residual(), gates, tf.constant(INPUTS), training)
        expected_loss = tf.reduce_sum(outputs**2 * weights)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-4)
    for gradient, expected, score, gate in zip(
        gradients,
        tape.gradient(expected_loss, gates),
        scores,
        gates,
        strict=True,
    ):
        expected = np.asarray(expected * tf.sign(score))
        np.testing.assert_allclose(
            gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
        # Also for what is removed now: it may come back.
        assert np.count_nonzero(np.asarray(gate) == 0) > 0
        assert np.all(np.asarray(gradient)[np.asarray(gate) == 0] != 0)


@STRUCTURED
class TestShared:
    def check_equal(self, model, original):
        """What was restored computes the same, and shares again."""
        for phase in ("finetune", "prune"):
            ht.set_phase(model, phase)
            ht.set_phase(original, phase)
            np.testing.assert_allclose(
                model(INPUTS), original(INPUTS), atol=1e-6
            )
        check_shared(model)
        check_masks_agree(model)
        assert ht.sparsity_report(model) == ht.sparsity_report(original)

    def original(self, granularity, learned):
        model = masked_residual(granularity, seed=5)
        first, second = channel_groups(model)
        first.leader.density = 0.25
        if learned:
            ht.learn_densities(model, 0.3)
            first.leader.rate.assign(0.5)
            second.leader.rate.assign(-1.0)
        return model

    @pytest.mark.parametrize(
        ("learned", "phase"), [(False, "finetune"), (True, "prune")]
    )
    def test_after_a_file(self, granularity, learned, phase, tmp_path):
        original = self.original(granularity, learned)
        ht.set_phase(original, phase)
        expected = original(INPUTS)
        original.save(str(tmp_path / "model.keras"))
        loaded = keras.models.load_model(str(tmp_path / "model.keras"))
        np.testing.assert_allclose(loaded(INPUTS), expected, atol=1e-6)
        # Scores that layers have to share do not train apart.
        names = {v.name for v in loaded.trainable_variables}
        assert not names & {"scores", "rate"}
        ht.connect_channels(loaded)
        assert {v.name for v in loaded.trainable_variables} == {
            v.name for v in original.trainable_variables
        }
        self.check_equal(loaded, original)

    def test_two_copies_in_one_model_stay_apart(self, granularity):
        original = self.original(granularity, learned=False)
        copies = [
            keras.models.clone_model(original),
            keras.models.clone_model(original),
        ]
        for number, copy in enumerate(copies):
            ht.connect_channels(copy)
            copy.name = f"copy_{number}"
        image = keras.Input(INPUTS.shape[1:])
        both = keras.Model(
            image, keras.layers.Average()([copy(image) for copy in copies])
        )
        ht.set_phase(both, "prune")
        groups = channel_groups(both)
        assert len(groups) == 2 * len(channel_groups(original))
        half = len(groups) // 2
        for one, other in zip(groups[:half], groups[half:], strict=True):
            assert one.leader.scores is not other.leader.scores

    @pytest.mark.parametrize("learned", [False, True])
    def test_after_a_weights_file(self, granularity, learned, tmp_path):
        original = self.original(granularity, learned)
        path = str(tmp_path / "w.weights.h5")
        original.save_weights(path)
        fresh = ht.to_masked(residual(), granularity=granularity)
        clone = keras.models.clone_model(original)
        if learned:
            ht.learn_densities(fresh, 0.3)
        for model in (fresh, clone):
            model.load_weights(path)
            self.check_equal(model, original)

    @pytest.mark.parametrize("phase", ["prune", "finetune"])
    def test_after_a_checkpoint(self, granularity, phase, tmp_path):
        original = self.original(granularity, learned=False)
        ht.set_phase(original, phase)
        prefix = str(tmp_path / "checkpoint")
        path = tf.train.Checkpoint(model=original).write(prefix)
        fresh = ht.to_masked(residual(), granularity=granularity)
        ht.set_phase(fresh, "finetune")
        tf.train.Checkpoint(model=fresh).read(path).assert_consumed()
        for layer in ht.masked_layers(fresh).values():
            np.testing.assert_array_equal(
                layer.mask, layer.masked_kernel.mask()
            )
        self.check_equal(fresh, original)

    def test_in_a_clone(self, granularity):
        original = self.original(granularity, learned=False)
        clone = keras.models.clone_model(original)
        ht.set_phase(clone, "prune")
        check_shared(clone)
        check_masks_agree(clone)
        # As of a conversion, from its own weights.
        for group in channel_groups(clone):
            norms = group.unit_norms
            np.testing.assert_allclose(
                group.leader.scores,
                np.sqrt(6) * norms / norms.max(),
                rtol=1e-5,
            )
        clone.set_weights(original.get_weights())
        self.check_equal(clone, original)

    def test_in_a_model_of_several(self, granularity):
        parts = [
            ht.to_masked(rename(residual(), name), granularity=granularity)
            for name in ("one", "other")
        ]
        ht.init_scores(parts[0], "random", seed=1)
        ht.init_scores(parts[1], "random", seed=2)
        image = keras.Input((6, 6, 3))
        both = keras.Model(
            image, layers.Average()([part(image) for part in parts])
        )
        expected = (parts[0](INPUTS) + parts[1](INPUTS)) / 2
        ht.set_phase(both, "prune")
        check_shared(both)
        assert len(channel_groups(both)) == 4
        np.testing.assert_allclose(both(INPUTS), expected, atol=1e-6)

    def test_by_a_model_that_is_trained_further(self, granularity, tmp_path):
        original = self.original(granularity, learned=True)
        original.save(str(tmp_path / "model.keras"))
        loaded = keras.models.load_model(str(tmp_path / "model.keras"))
        robust = ht.RobustModel(loaded, ht.objectives.Natural())
        check_shared(loaded)
        robust.compile(ht.training.SGD(0.1))
        robust.fit(INPUTS, np.arange(4) % 3, verbose=0)
        check_shared(loaded)
        check_masks_agree(loaded)

    @pytest.mark.parametrize("what", ["scores", "density", "rate"])
    def test_no_longer_if_a_loaded_layer_was_changed(
        self, granularity, what, tmp_path
    ):
        original = self.original(granularity, learned=what == "rate")
        original.save(str(tmp_path / "model.keras"))
        loaded = keras.models.load_model(str(tmp_path / "model.keras"))
        first, last = names(original)[0]
        layer = loaded.get_layer(last)
        if what == "scores":
            layer.scores.assign(-layer.scores)
        elif what == "density":
            layer.density = 0.75
        else:
            layer.rate.assign(0.3)
        message = f"layers '{first}' and '{last}' share .* give both the same"
        with pytest.raises(InputError, match=message):
            ht.set_phase(loaded, "prune")
        with pytest.raises(InputError, match=message):
            connect_channels(loaded)

    def test_densities_are_learned_together(self, granularity):
        model = masked_residual(granularity)
        first, last = (model.get_layer(name) for name in names(model)[0])
        assert first.rate is None
        last.learn_density(0.1, 0.6)
        check_shared(model)
        assert first.min_density == last.min_density == 0.1
        np.testing.assert_allclose(first.live_density, 0.6, rtol=1e-6)
        assert sum(v.name == "rate" for v in model.trainable_variables) == 1
        first.stop_learning_density(0.7)
        check_shared(model)
        assert last.rate is None
        assert last.min_density is None
        assert float(last.density) == 0.7
        assert not any(v.name == "rate" for v in model.variables)

    def test_finetune_masks_follow_in_all_layers(self, granularity):
        model = masked_residual(granularity, phase="finetune")
        for group in channel_groups(model):
            group.leader.scores.assign(
                np.roll(np.asarray(group.leader.scores), 1)
            )
            check_masks_agree(model)
            group.leader.density = 0.2
            check_masks_agree(model)
            group.leader.learn_density(0.1, 0.9)
            check_masks_agree(model)
        for layer in ht.masked_layers(model).values():
            np.testing.assert_array_equal(
                layer.mask, layer.masked_kernel.mask()
            )

    def test_a_frozen_layer_freezes_its_group(self, granularity):
        for index in (0, 1):
            model = masked_residual(granularity)
            ht.learn_densities(model, 0.3)
            name = names(model)[0][index]
            model.get_layer(name).trainable = False
            for _ in range(2):
                trained = [id(v) for v in model.trainable_variables]
                group, other = channel_groups(model)
                assert id(group.leader.scores) not in trained
                assert id(group.leader.rate) not in trained
                assert id(other.leader.scores) in trained
                ht.set_phase(model, "prune")
            model.get_layer(name).trainable = True
            trained = [id(v) for v in model.trainable_variables]
            assert id(group.leader.scores) in trained
            assert id(group.leader.rate) in trained


def rename(model, name):
    model.name = name
    return model


def train(strategy, granularity):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        # Normalisation sees the batch of its replica only.
        model = masked_residual(
            granularity, normalization=lambda name: layers.Identity()
        )
        ht.learn_densities(model, 0.3)
        robust = ht.RobustModel(model, ht.objectives.Natural(), seed=1)
        robust.compile(ht.training.SGD(0.1, momentum=0.9))
    labels = np.arange(4) % 3
    robust.fit(INPUTS, labels, batch_size=4, epochs=2, verbose=0)
    return model


@pytest.mark.slow
def test_two_replicas_train_like_one_device():
    one = train(tf.distribute.get_strategy(), "channel")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    two = train(strategy, "channel")
    for a, b in zip(channel_groups(one), channel_groups(two), strict=True):
        for x, y in (
            (a.leader.scores, b.leader.scores),
            (a.leader.rate, b.leader.rate),
        ):
            np.testing.assert_allclose(
                keras.ops.convert_to_numpy(x),
                keras.ops.convert_to_numpy(y),
                atol=1e-5,
            )
    with strategy.scope():
        check_shared(two)
        ht.set_phase(two, "finetune")
    assert ht.sparsity_report(one).kept == ht.sparsity_report(two).kept
