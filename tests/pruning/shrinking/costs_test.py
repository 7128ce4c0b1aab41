"""Tests of what networks cost before and after shrinking."""

import keras
import pytest
from keras import layers

import hydra_tf as ht
from hydra_tf.errors import InputError


def network(filters=4, image=(8, 8, 3)):
    """All kinds of kernels, and their weights and operations by hand."""
    return keras.Sequential(
        [
            keras.Input(image),
            layers.Conv2D(filters, 3, padding="same", name="conv"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.Conv2DTranspose(2, 2, strides=2, use_bias=False),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def expected(filters):
    weights = 27 * filters + filters + 4 * filters + 9 * filters
    weights += 4 * filters * 2 + 2 * 10 + 10
    flops = 64 * 27 * filters + 36 * 9 * filters + 36 * 4 * filters * 2 + 20
    return weights, 2 * flops


def test_weights_and_operations_are_those_on_paper():
    report = ht.shrink_report(network(4), network(1), repeats=2)
    assert (report.before.weights, report.before.flops) == expected(4)
    assert (report.after.weights, report.after.flops) == expected(1)
    assert report.speedup == report.before.seconds / report.after.seconds
    assert min(report.before.seconds, report.after.seconds) > 0


def test_scores_and_masks_are_no_weights():
    model = network()
    report = ht.shrink_report(ht.to_masked(model), model, repeats=1)
    assert report.before.weights == report.after.weights == expected(4)[0]
    assert report.before.flops == report.after.flops


def test_a_layer_called_twice_computes_twice():
    inputs = keras.Input((3,))
    dense = layers.Dense(3, use_bias=False)
    once = keras.Model(inputs, dense(inputs))
    twice = keras.Model(inputs, dense(dense(inputs)))
    report = ht.shrink_report(twice, once, repeats=1)
    assert (report.before.flops, report.after.flops) == (36, 18)
    assert report.before.weights == report.after.weights == 9


def test_the_figures_are_a_table_and_plain_data():
    report = ht.shrink_report(network(4), network(1), batch_size=3, repeats=1)
    data = report.to_dict()
    assert data["batch_size"] == 3
    assert data["before"] == {
        "weights": expected(4)[0],
        "flops": expected(4)[1],
        "seconds": report.before.seconds,
    }
    header, _, weights, flops, seconds = str(report).splitlines()
    assert header.split() == ["before", "after", "ratio"]
    before, after = expected(4)[0], expected(1)[0]
    assert weights.split() == [
        "weights",
        str(before),
        str(after),
        f"{after / before:.3f}",
    ]
    assert flops.startswith("flops") and seconds.count("ms") == 2


def test_several_inputs_are_timed_too():
    inputs = {
        "a": keras.Input((4,), name="a"),
        "b": keras.Input((2,), name="b"),
    }
    x = layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, [layers.Dense(2)(x), layers.Dense(3)(x)])
    assert ht.shrink_report(model, model, repeats=1).before.flops == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive"),
        ({"repeats": 0}, "`repeats` must be a positive"),
    ],
)
def test_numbers_have_to_be_positive(arguments, message):
    with pytest.raises(InputError, match=message):
        ht.shrink_report(network(), network(), **arguments)


def test_inputs_of_open_size_are_refused():
    model = network(image=(None, None, 3))
    with pytest.raises(InputError, match=r"fixed size.*None, None, None, 3"):
        ht.shrink_report(model, model)
