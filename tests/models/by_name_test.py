"""Networks by name, and what all of them have in common."""

import sys
import textwrap

import keras
import numpy as np
import pytest

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.registry.models import MODELS

# One network of each construction, with images it takes quickly.
_ONE_PER_FAMILY = [
    ("digits_model", (8, 8, 1)),
    ("cifar_model_resnet", (8, 8, 3)),
    ("vgg2_bn", (8, 8, 3)),
    ("resnet18", (8, 8, 3)),
    ("wrn_28_1", (8, 8, 3)),
    ("digits_vit", (8, 8, 1)),
    ("convnext_tiny", (8, 8, 3)),
    ("mobilenet_half", (8, 8, 3)),
]

# Those made quickly: plain, with batch norm, residual, with attention.
_SMALL = [
    ("digits_model", (8, 8, 1)),
    ("vgg2_bn", (8, 8, 3)),
    ("wrn_28_1", (8, 8, 3)),
    ("digits_vit", (8, 8, 1)),
]


def test_names_are_the_networks_of_the_originals_and_others():
    vggs = [f"vgg{n}{bn}" for n in (2, 4, 8, 11, 13, 16) for bn in ("", "_bn")]
    assert sorted(models.names()) == sorted(
        [
            "digits_model",
            "mnist_model",
            "mnist_model_large",
            "cifar_model",
            "cifar_model_large",
            "cifar_model_resnet",
            *vggs,
            "vgg11_bn_narrow",
            "resnet18",
            "resnet18_narrow",
            "resnet34",
            "resnet50",
            "resnet50_imagenet",
            "wrn_28_1",
            "wrn_28_4",
            "wrn_28_10",
            "wrn_34_10",
            "wrn_40_2",
            "vit_tiny",
            "digits_vit",
            "convnext_tiny",
            "mobilenet",
            "mobilenet_half",
        ]
    )


@pytest.mark.parametrize("name", models.names())
def test_every_name_is_a_documented_function(name):
    function = getattr(models, name)
    assert function is MODELS.load(name)
    assert "input_shape: Height, width" in function.__doc__


@pytest.mark.parametrize(("name", "input_shape"), _ONE_PER_FAMILY)
def test_model_is_plain_keras_from_images_to_logits(name, input_shape):
    model = models.create(name, input_shape, 7)
    assert model.name == name
    assert model.input_shape == (None, *input_shape)
    assert model.output_shape == (None, 7)
    assert all(
        type(layer).__module__.startswith("keras.") for layer in model.layers
    )
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    images = np.random.default_rng(0).uniform(size=(2, *input_shape))
    logits = np.asarray(model(images.astype("float32")))
    assert logits.dtype == np.float32
    assert np.all(np.isfinite(logits))
    assert np.ptp(logits) > 0


@pytest.mark.parametrize(("name", "input_shape"), _SMALL)
def test_seed_gives_the_same_names_and_weights_again(name, input_shape):
    def create(seed):
        keras.utils.set_random_seed(seed)
        return models.create(name, input_shape, 5)

    first, again = create(1), create(1)
    names = [layer.name for layer in first.layers]
    assert names == [layer.name for layer in again.layers]
    assert len(set(names)) == len(names)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_gives_other_weights():
    keras.utils.set_random_seed(1)
    first = models.digits_model().get_weights()
    keras.utils.set_random_seed(2)
    second = models.digits_model().get_weights()
    assert not np.array_equal(first[0], second[0])


def test_layers_of_one_shape_start_differently():
    model = models.create("vgg16", (32, 32, 3), 10)
    first, second = (
        np.asarray(model.get_layer(f"block5_conv{i}").kernel) for i in (2, 3)
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("name", "input_shape"), _SMALL)
def test_model_comes_back_from_a_file(name, input_shape, tmp_path):
    model = models.create(name, input_shape, 5)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    image = np.full((1, *input_shape), 0.5, np.float32)
    np.testing.assert_array_equal(loaded(image), model(image))


def test_unknown_name_lists_the_close_ones():
    with pytest.raises(InputError, match="Unknown model 'resnet81'.*resnet18"):
        models.create("resnet81", (32, 32, 3), 10)


@pytest.mark.parametrize("name", [None, 3, models.digits_model])
def test_name_must_be_a_string(name):
    with pytest.raises(InputError, match="`model` must be the name"):
        models.create(name, (32, 32, 3), 10)


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Makes `user_networks` importable and returns its name."""
    (tmp_path / "user_networks.py").write_text(
        textwrap.dedent(
            """
            import keras

            SIZE = 3

            def linear(input_shape, num_classes):
                return keras.Sequential([
                    keras.Input(input_shape),
                    keras.layers.Flatten(),
                    keras.layers.Dense(num_classes),
                ])

            def one_argument(input_shape):
                return linear(input_shape, 10)

            def not_a_model(input_shape, num_classes):
                return [input_shape, num_classes]

            def three_logits(input_shape, num_classes):
                return linear(input_shape, 3)

            def nothing_more():
                return None
            """
        )
    )
    (tmp_path / "user_broken.py").write_text("import a_missing_module")
    monkeypatch.syspath_prepend(tmp_path)
    yield "user_networks"
    sys.modules.pop("user_networks", None)
    sys.modules.pop("user_broken", None)


def test_function_of_the_user_is_called(user_module):
    model = models.create(f"{user_module}:linear", (8, 8, 1), 10)
    assert model.output_shape == (None, 10)
    assert model.count_params() == 650


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("user_networks:liner", "has no 'liner'.*'linear'"),
        ("user_networks:SIZE", "must be a function .*Received: int"),
        ("user_networks:one_argument", "cannot be called so"),
        ("user_networks:not_a_model", "must return a keras.Model.*list"),
        ("user_networks:three_logits", r"output has shape \(None, 3\)"),
        ("user_network:linear", "No module named 'user_network'"),
        ("user_broken:linear", "No module named 'a_missing_module'"),
        ("user_networks:", "must be of the form package.module:name"),
        (":linear", "must be of the form package.module:name"),
        (".relative:linear", "must be of the form package.module:name"),
    ],
)
def test_unusable_function_of_the_user_is_named(user_module, name, message):
    del user_module
    with pytest.raises(InputError, match=message) as caught:
        models.create(name, (8, 8, 1), 10)
    assert "\n" not in str(caught.value)


def test_arguments_are_checked_before_the_function_of_the_user(user_module):
    with pytest.raises(InputError, match="`num_classes` must be a positive"):
        models.create(f"{user_module}:linear", (8, 8, 1), 0)


def test_registered_function_is_known_by_its_name(monkeypatch):
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))

    @models.register("linear", help="one dense layer")
    def linear(input_shape, num_classes):
        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(num_classes),
            ]
        )

    assert models.names()[-1] == "linear"
    assert models.create("linear", (8, 8, 1), 3).output_shape == (None, 3)
    with pytest.raises(InputError, match="`num_classes` must be a positive"):
        models.create("linear", (8, 8, 1), 0)
