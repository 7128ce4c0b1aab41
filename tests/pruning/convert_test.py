"""Conversion keeps a model's outputs, and stripping leaves real zeros."""

import warnings

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from tests.pruning import networks

EVERY_NETWORK = pytest.mark.parametrize(
    "make", networks.ALL, ids=lambda make: make.__name__
)


def prune(model, density=0.3):
    """Densities and scores as pruning leaves them: unrelated to kernels."""
    ht.set_phase(model, "prune")
    ht.set_density(model, density)
    ht.init_scores(model, "random", seed=1)
    return model


def weights_of(model):
    return {v.path: np.asarray(v) for v in model.weights}


@EVERY_NETWORK
class TestRoundTrip:
    def test_masked_twin_computes_the_same(self, make):
        model = make()
        before = weights_of(model)
        masked = ht.to_masked(model)
        assert type(masked) is type(model)
        assert masked.name == model.name
        inputs = networks.images()
        for training in (False, None):
            np.testing.assert_array_equal(
                masked(inputs, training=training),
                model(inputs, training=training),
            )
        assert not any(
            type(layer) in (keras.layers.Dense, keras.layers.Conv2D)
            for layer in masked._flatten_layers()
        )
        # The original is as it was.
        after = weights_of(model)
        assert before.keys() == after.keys()
        for path, value in before.items():
            np.testing.assert_array_equal(after[path], value)
        assert "hydra_tf" not in model.to_json()

    def test_stripped_model_computes_what_the_masked_one_does(self, make):
        masked = prune(ht.to_masked(make()))
        stripped = ht.strip_masks(masked)
        inputs = networks.images()
        np.testing.assert_array_equal(stripped(inputs), masked(inputs))
        assert not np.allclose(stripped(inputs), make()(inputs))
        for phase in ("finetune", "pretrain"):
            ht.set_phase(masked, phase)
            np.testing.assert_array_equal(
                ht.strip_masks(masked)(inputs), masked(inputs)
            )

    def test_stripped_model_is_plain_keras(self, make):
        model = make()
        stripped = ht.strip_masks(prune(ht.to_masked(model)))
        for layer in stripped._flatten_layers():
            assert not type(layer).__module__.startswith("hydra_tf")
        assert sorted((v.path, v.shape, v.dtype) for v in model.weights) == (
            sorted((v.path, v.shape, v.dtype) for v in stripped.weights)
        )
        assert "hydra_tf" not in stripped.to_json()

    def test_pruned_weights_are_positive_zeros(self, make):
        masked = prune(ht.to_masked(make()))
        stripped = ht.strip_masks(masked)
        report = ht.sparsity_report(masked)
        kernels = [
            np.asarray(variable)
            for variable in stripped.weights
            if variable.name == "kernel"
        ]
        assert report.kept == sum(np.count_nonzero(k) for k in kernels)
        assert report.kept < report.weights
        for kernel in kernels:
            assert not np.signbit(kernel[kernel == 0]).any()


@pytest.mark.parametrize(
    "make",
    # Keras itself can't load a model that shares layers with a nested one.
    [
        make
        for make in networks.ALL
        if make is not networks.layer_shared_with_nested
    ],
    ids=lambda make: make.__name__,
)
class TestFiles:
    def test_stripped_model_survives_a_file(self, make, tmp_path):
        stripped = ht.strip_masks(prune(ht.to_masked(make())))
        path = str(tmp_path / "model.keras")
        stripped.save(path)
        loaded = keras.models.load_model(path)
        inputs = networks.images()
        np.testing.assert_array_equal(loaded(inputs), stripped(inputs))

    def test_masked_model_survives_a_file(self, make, tmp_path):
        masked = prune(ht.to_masked(make()))
        path = str(tmp_path / "masked.keras")
        masked.save(path)
        loaded = keras.models.load_model(path)
        inputs = networks.images()
        np.testing.assert_array_equal(loaded(inputs), masked(inputs))
        assert ht.sparsity_report(loaded) == ht.sparsity_report(masked)
        assert {layer.phase for layer in ht.masked_layers(loaded).values()} == {
            "prune"
        }


class TestToMasked:
    def test_shared_layers_stay_shared(self):
        masked = ht.to_masked(networks.layer_shared_with_nested())
        inner = masked.get_layer("inner")
        assert masked.get_layer("shared") is inner.get_layer("shared")
        assert list(ht.masked_layers(masked)) == ["shared", "logits"]

    def test_copies_dropout_and_running_statistics(self):
        model = networks.multi_branch()
        masked = ht.to_masked(model)
        for old, new in zip(
            model.get_layer("bn").weights,
            masked.get_layer("bn").weights,
            strict=True,
        ):
            np.testing.assert_array_equal(old, new)
        # Dropout draws the same from the same state.
        inputs = networks.images((4, 8, 8, 3))
        np.testing.assert_array_equal(
            masked(inputs, training=True), model(inputs, training=True)
        )

    def test_first_mask_keeps_the_largest_weights(self):
        masked = ht.to_masked(networks.sequential(), density=0.25)
        layer = masked.get_layer("logits")
        np.testing.assert_array_equal(
            layer.mask, ht.topk_mask(np.asarray(layer.kernel), 0.25)
        )

    def test_excludes_by_name(self):
        masked = ht.to_masked(networks.sequential(), exclude=["logits", "up"])
        assert type(masked.get_layer("logits")) is keras.layers.Dense
        assert list(ht.masked_layers(masked)) == ["conv"]
        masked = ht.to_masked(networks.sequential(), exclude="conv")
        assert list(ht.masked_layers(masked)) == ["up", "logits"]

    def test_excludes_what_lies_in_a_named_model(self):
        masked = ht.to_masked(
            keras.Sequential(
                [
                    keras.Input((4,)),
                    keras.Sequential([keras.layers.Dense(4)], name="encoder"),
                    keras.layers.Dense(2, name="logits"),
                ]
            ),
            exclude=["encoder"],
        )
        assert list(ht.masked_layers(masked)) == ["logits"]

    def test_excludes_by_predicate(self):
        masked = ht.to_masked(
            networks.multi_branch(),
            exclude=lambda layer: isinstance(layer, keras.layers.Dense),
        )
        assert list(ht.masked_layers(masked)) == ["stem", "twice", "depthwise"]

    def test_unknown_name_in_exclude(self):
        with pytest.raises(InputError, match="Did you mean 'logits'"):
            ht.to_masked(networks.sequential(), exclude=["logit"])

    def test_activation_that_was_taken_away(self):
        model = networks.sequential()
        model.layers[-1].activation = None
        masked = ht.to_masked(model)
        images = networks.images()
        np.testing.assert_array_equal(masked(images), model(images))
        assert model.layers[-1].activation is None
        plain = ht.strip_masks(masked)
        np.testing.assert_array_equal(plain(images), model(images))

    def test_subclassed_model_by_its_call(self):
        model = Subclassed()
        inputs = keras.Input((3,))
        masked = ht.to_masked(keras.Model(inputs, model.call(inputs)))
        assert list(ht.masked_layers(masked)) == [model.dense.name]
        images = networks.images((2, 3))
        np.testing.assert_array_equal(masked(images), model(images))

    def test_density_outside_its_range(self):
        with pytest.raises(InputError, match="`density` must be"):
            ht.to_masked(networks.sequential(), density=2)

    @pytest.mark.parametrize("trainable", [True, False])
    @pytest.mark.parametrize(
        "make", [networks.sequential, networks.multi_branch]
    )
    def test_frozen_layers_stay_frozen(self, make, trainable):
        model = make()
        for layer in model.layers[2:4]:
            layer.trainable = False
        if not trainable:
            model.trainable = False
        for twin in (ht.to_masked(model), ht.strip_masks(ht.to_masked(model))):
            assert twin.trainable == trainable
            assert [layer.trainable for layer in twin.layers] == [
                layer.trainable for layer in model.layers
            ]

    def test_frozen_nested_model_stays_frozen(self):
        model = networks.functional_in_sequential()
        model.get_layer("inner").trainable = False
        masked = ht.to_masked(model)
        assert not masked.get_layer("inner").trainable
        assert not masked.get_layer("inner").trainable_variables
        assert masked.get_layer("logits").trainable

    def test_dtype_policies_stay(self):
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(5, dtype="mixed_bfloat16", name="half"),
                keras.layers.Dense(4, dtype="float32", name="logits"),
            ]
        )
        masked = ht.to_masked(model)
        stripped = ht.strip_masks(masked)
        inputs = networks.images((3, 6))
        for twin in (masked, stripped):
            assert [layer.dtype_policy.name for layer in twin.layers] == [
                "mixed_bfloat16",
                "float32",
            ]
            np.testing.assert_array_equal(twin(inputs), model(inputs))

    def test_compiled_model_with_a_loss_that_has_no_configuration(self):
        model = networks.sequential()
        model.compile("adam", loss=lambda y, logits: logits)
        masked = ht.to_masked(model)
        assert not masked.compiled
        assert model.compiled

    def test_model_of_dictionaries(self):
        inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
        outputs = {
            "sum": keras.layers.Dense(2)(inputs["a"])
            + keras.layers.Dense(2)(inputs["b"])
        }
        model = networks.shake(keras.Model(inputs, outputs))
        values = {name: networks.images((4, 3)) for name in inputs}
        np.testing.assert_array_equal(
            ht.to_masked(model)(values)["sum"], model(values)["sum"]
        )

    def test_sequential_that_was_built_by_a_call(self):
        model = keras.Sequential([keras.layers.Dense(3)])
        inputs = networks.images((2, 4))
        expected = model(inputs)
        masked = ht.to_masked(model)
        np.testing.assert_array_equal(masked(inputs), expected)

    def test_masked_layers_are_kept(self):
        masked = prune(ht.to_masked(networks.sequential()))
        again = ht.to_masked(masked)
        inputs = networks.images()
        np.testing.assert_array_equal(again(inputs), masked(inputs))
        assert ht.sparsity_report(again) == ht.sparsity_report(masked)

    @pytest.mark.parametrize(
        "activation",
        [
            keras.layers.PReLU(),
            keras.layers.LayerNormalization(axis=[1, 2, 3]),
            keras.layers.GroupNormalization(2),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_activations_and_normalisations_need_no_twin(self, activation):
        inputs = keras.Input((8, 8, 3))
        x = activation(keras.layers.Conv2D(4, 3)(inputs))
        model = networks.shake(keras.Model(inputs, x))
        np.testing.assert_array_equal(
            ht.to_masked(model)(networks.images()), model(networks.images())
        )


class Positions(keras.layers.Layer):
    """A layer with a matrix that nothing is known of."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=input_shape[1:], name="table")

    def call(self, inputs):
        return inputs + self.table


def with_positions(trainable=True):
    inputs = keras.Input((5, 4))
    x = Positions(name="unsupported", trainable=trainable)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def minus_one(x):
    return x - 1


class TestWhatCannotBeConverted:
    @pytest.mark.parametrize("trainable", [True, False])
    def test_weights_of_unknown_layers_stay_dense(self, trainable):
        model = with_positions(trainable)
        with pytest.warns(UserWarning) as caught:
            masked = ht.to_masked(model)
        (warning,) = caught
        assert warning.filename == __file__
        message = str(warning.message)
        # 20 of 20 + 10 weights.
        assert "weights of 1 layer, 66.7% of those of" in message
        assert "'unsupported' (Positions)" in message
        assert "`exclude=['unsupported']`" in message
        assert list(ht.masked_layers(masked)) == ["dense"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ht.to_masked(model, exclude=["unsupported"], strict=True)
        with pytest.raises(InputError, match="layer 'unsupported' .*masked"):
            ht.to_masked(model, strict=True)

    def test_nothing_but_unknown_layers(self):
        with pytest.raises(
            InputError, match=r"`exclude=\['dense', 'unsupported'\]`"
        ):
            ht.to_masked(with_positions(), "dense")

    def test_masked_layer_inside_a_custom_layer_is_stripped(self):
        class Block(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dense = ht.layers.MaskedDense(2, name="inner")

            def call(self, inputs):
                return self.dense(inputs)

        model = keras.Sequential([keras.Input((3,)), Block(name="block")])
        prune(model, 0.5)
        stripped = ht.strip_masks(model)
        inputs = networks.images((2, 3))
        np.testing.assert_array_equal(stripped(inputs), model(inputs))
        assert type(stripped.layers[0].dense) is keras.layers.Dense
        assert np.sum(np.asarray(stripped.layers[0].dense.kernel) == 0) == 3

    def test_layers_that_keras_cannot_rebuild_are_named(self):
        layer = keras.layers.Dense(4, activation=minus_one, name="dense")
        model = keras.Sequential([keras.Input((4,)), layer])
        with pytest.raises(
            InputError,
            match=r"^layer 'dense' \(Dense\) can't be rebuilt [^\n]*: "
            r"Could not locate function 'minus_one'[^\n]*`in_place=True`$",
        ):
            ht.to_masked(model)

    def test_no_model_at_all(self):
        with pytest.raises(InputError, match="Received: Dense"):
            ht.to_masked(keras.layers.Dense(3))

    def test_sequential_without_input(self):
        with pytest.raises(InputError, match="not built"):
            ht.to_masked(keras.Sequential([keras.layers.Dense(3)]))

    def test_nothing_to_prune(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU()])
        with pytest.raises(InputError, match="nothing to prune"):
            ht.to_masked(model)
        with pytest.raises(InputError, match="nothing to prune"):
            ht.to_masked(networks.sequential(), exclude=lambda layer: True)


@pytest.mark.parametrize(
    "make_inner",
    [
        lambda: keras.layers.Dense(3),
        lambda: keras.Sequential([keras.layers.Dense(3), keras.layers.ReLU()]),
    ],
    ids=["layer", "model"],
)
def test_time_distributed_is_converted(make_inner):
    model = keras.Sequential(
        [keras.Input((5, 4)), keras.layers.TimeDistributed(make_inner())]
    )
    masked = ht.to_masked(model)
    inputs = networks.images((2, 5, 4))
    np.testing.assert_array_equal(masked(inputs), model(inputs))
    assert ht.sparsity_report(masked).weights == 12
    prune(masked)
    stripped = ht.strip_masks(masked)
    np.testing.assert_array_equal(stripped(inputs), masked(inputs))
    assert "hydra_tf" not in stripped.to_json()


def test_registered_twin_is_used():
    class Doubling(keras.layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    class MaskedDoubling(ht.layers.MaskedLayer, Doubling):
        plain_class = Doubling

        def call(self, inputs):
            return 2 * (
                keras.ops.matmul(inputs, self.kernel_for_call()) + self.bias
            )

    model = keras.Sequential([keras.Input((4,)), Doubling(3)])
    assert type(ht.to_masked(model).layers[0]) is not MaskedDoubling
    ht.register_masked_twin(MaskedDoubling)
    masked = ht.to_masked(model)
    assert type(masked.layers[0]) is MaskedDoubling
    inputs = networks.images((2, 4))
    np.testing.assert_array_equal(masked(inputs), model(inputs))
    assert type(ht.strip_masks(masked).layers[0]) is Doubling
    with pytest.raises(InputError, match="a class that derives from"):
        ht.register_masked_twin(Doubling)


@pytest.mark.parametrize("granularity", ["channel", "filter"])
@EVERY_NETWORK
class TestChannels:
    def test_masked_twin_computes_the_same_and_can_be_stripped(
        self, make, granularity
    ):
        inputs = networks.images()
        model = make()
        masked = ht.to_masked(model, granularity=granularity)
        np.testing.assert_array_equal(masked(inputs), model(inputs))
        if any(layer.prunable for layer in ht.masked_layers(masked).values()):
            prune(masked, 0.4)
        stripped = ht.strip_masks(masked)
        np.testing.assert_allclose(stripped(inputs), masked(inputs), atol=1e-5)
        kept = ht.sparsity_report(masked).kept
        assert kept == sum(
            np.count_nonzero(variable)
            for variable in stripped.weights
            if variable.name == "kernel"
        )


@pytest.mark.parametrize("granularity", ["weight", "channel", "filter", "2:4"])
@pytest.mark.parametrize("learned", [False, True])
def test_masked_layers_keep_all_they_have(granularity, learned):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stem")(image)
    x = keras.layers.Conv2D(4, 3, name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    plain = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    model = prune(ht.to_masked(plain, ["logits"], granularity=granularity), 0.5)
    if learned and granularity != "2:4":
        ht.learn_densities(model, 0.3, learns="rates")
    # What was plain is masked now, what was masked is as it was.
    again = ht.to_masked(model)
    masked = ht.masked_layers(again)
    assert masked["logits"].granularity == "weight"
    for name, layer in ht.masked_layers(model).items():
        assert masked[name].get_config() == layer.get_config()
        for each in ("kernel", "bias", "scores"):
            np.testing.assert_array_equal(
                getattr(masked[name], each), getattr(layer, each)
            )
        np.testing.assert_array_equal(masked[name].mask, layer.mask)
        assert (masked[name].rate is None) == (layer.rate is None)
    inputs = networks.images()
    np.testing.assert_array_equal(again(inputs), model(inputs))


@pytest.mark.parametrize(
    "wrapped", [lambda layer: layer, keras.layers.TimeDistributed]
)
def test_lambdas_are_copied_with_what_they_refer_to(wrapped):
    layer = keras.layers.Lambda(lambda x: minus_one(x), (4,))
    model = keras.Sequential(
        [keras.Input((2, 4)), wrapped(layer), keras.layers.Dense(3)]
    )
    inputs = networks.images((2, 2, 4))
    masked = ht.to_masked(model)
    for copy in (masked, ht.strip_masks(masked), ht.shrink(masked)):
        np.testing.assert_allclose(copy(inputs), model(inputs), atol=1e-6)


def test_masked_networks_get_no_channels():
    masked = ht.to_masked(networks.sequential(), ["logits"])
    with pytest.raises(InputError, match="masked already: .*strip_masks"):
        ht.to_masked(masked, granularity="channel")
