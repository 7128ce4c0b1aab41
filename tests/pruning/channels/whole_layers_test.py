"""What keeps all its channels, whatever the density, and why."""

import warnings

import keras
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.whole_layers import whole_layers

layers = keras.layers


def network(convolutions):
    """Separable convolutions, which stay plain, around masked ones."""
    image = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(8, 3, padding="same", name="before")(image)
    for name in convolutions:
        x = layers.Conv2D(4, 3, padding="same", name=name)(x)
    x = layers.SeparableConv2D(8, 3, padding="same", name="after")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(image, layers.Dense(3, name="logits")(x))


def masked(granularity, convolutions):
    return ht.to_masked(
        network(convolutions),
        exclude=["before", "after"],
        granularity=granularity,
        density=0.5,
    )


@pytest.mark.parametrize(
    ("granularity", "words"),
    [
        ("channel", ("'conv' are shared with 'before' (SeparableConv2D)",)),
        ("channel", ("'logits' are shared with 'norm' (LayerNormalization)",)),
        ("filter", ("'after'", "'logits' are the model's outputs")),
    ],
)
def test_nothing_that_can_go_is_an_error(granularity, words):
    with pytest.raises(InputError) as caught:
        masked(granularity, ["conv"])
    message = str(caught.value)
    assert f"can be removed with `granularity='{granularity}'`" in message
    assert all(word in message for word in words), message
    pruning = ht.Pruning(granularity=granularity, exclude=["before", "after"])
    with pytest.raises(InputError, match="can be removed .*'after'|'before'"):
        pruning.check(network(["conv"]))


def test_what_stays_among_others_is_a_warning():
    with pytest.warns(
        UserWarning, match="2 of 3 masked layers keep .*'one'.*'logits'"
    ):
        model = masked("channel", ["one", "two"])
    assert list(whole_layers(model)) == ["one", "logits"]
    with pytest.warns(UserWarning, match="1 of 3 .*'two' are shared"):
        model = masked("filter", ["one", "two"])
    assert list(whole_layers(model)) == ["two", "logits"]


@pytest.mark.parametrize("granularity", ["channel", "filter"])
def test_images_and_outputs_are_expected_to_stay(granularity):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = ht.to_masked(
            ht.models.create("digits_model", (8, 8, 1), 10),
            granularity=granularity,
        )
    (reason,) = whole_layers(model).values()
    assert reason in ("are the model's inputs", "are the model's outputs")
