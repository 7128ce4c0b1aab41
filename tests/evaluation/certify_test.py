"""Certification image by image: the table, resuming, contradictions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import interrupts
from hydra_tf.evaluation import certify

# Two pixels; the class is 1 where the first is larger. The last is wrong.
IMAGES = np.array(
    [[0.9, 0.1], [0.55, 0.45], [0.2, 0.8], [0.45, 0.55], [0.7, 0.1]],
    np.float32,
)
LABELS = np.array([1, 1, 0, 0, 0])


@pytest.fixture(scope="module")
def network():
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.array([[-1.0, 1.0], [1.0, -1.0]])])
    return model


def without_times(rows):
    return [{**row, "seconds": None} for row in rows]


def test_bounds_on_a_linear_network_are_exact(network, capsys):
    # A change by epsilon moves the difference of the pixels by 2 epsilon.
    result = certify(
        network, IMAGES, LABELS, method="ibp", radii=[0.35, 0.02, 0.2]
    )
    certified = [result.certified(radius) for radius in (0.02, 0.2, 0.35)]
    np.testing.assert_array_equal(
        np.array(certified, int),
        [[1, 1, 1, 1, 0], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]],
    )
    record = result.to_dict()
    assert record["natural_accuracy"] == 4 / 5
    assert record["certified_accuracy"][1] == {
        "radius": 0.2,
        "certified_accuracy": 2 / 5,
    }
    assert record["dtype"] == "float32"
    assert capsys.readouterr() == ("", "")
    assert "certified, Linf 0.2     40.0 %" in str(result)


def test_smoothing_certifies_any_callable(network):
    result = certify(
        lambda x: network(x), IMAGES, LABELS, method="smoothing",
        radii=[0, 0.3], n0=10, n=500,
    )  # fmt: skip
    # The images lie 0.8, 0.1, 0.6 and 0.1 over the root of 2 from the border.
    assert result.certified(0.3).tolist() == [True, False, True, False, False]
    # sigma Phi^-1(alpha^(1/n)) = 0.25 Phi^-1(0.98628)
    assert result.largest_radius == pytest.approx(0.5514, abs=1e-3)
    assert result.to_dict()["smoothed_accuracy"] >= 2 / 5
    assert all(row["radius"] <= result.largest_radius for row in result.rows)


@pytest.mark.parametrize("method", ["ibp", "smoothing"])
def test_table_is_resumed(network, tmp_path, monkeypatch, method):
    path = tmp_path / "certify.tsv"
    settings = {"method": method, "n0": 5, "n": 20, "batch_size": 2}
    whole = certify(network, IMAGES, LABELS, **settings)
    stops = []

    def stop():
        stops.append(1)
        if len(stops) == 3:
            raise interrupts.Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(interrupts, "check", stop)
        with pytest.raises(interrupts.Interrupted) as interrupted:
            certify(network, IMAGES, LABELS, table=path, **settings)
    done = len(path.read_text().splitlines()) - 2
    assert 0 < done < 5
    assert interrupted.value.where == f"{done} of 5 images are done"
    few = certify(network, IMAGES[:4], LABELS[:4], table=path, **settings)
    resumed = certify(network, IMAGES, LABELS, table=path, **settings)
    assert resumed.rows[:4] == few.rows
    assert without_times(resumed.rows) == without_times(whole.rows)
    for images, labels, changes, message in (
        (IMAGES, LABELS, {"radii": [0.1]}, "instead of"),
        (IMAGES, 1 - LABELS, {}, "number 0 has the label 1, not 0"),
        (IMAGES / 2, LABELS, {}, "first_image"),
    ):
        with pytest.raises(ht.InputError, match=message):
            certify(
                network, images, labels, table=path, **{**settings, **changes}
            )


@pytest.mark.parametrize("method", ht.bounds.METHODS)
def test_table_holds_what_the_bounds_say(method):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    x = np.random.default_rng(0).uniform(size=(30, 6, 6, 1)).astype("float32")
    y = np.argmax(model(x), axis=1)
    y[::7] = (y[::7] + 1) % 4  # Some predictions are wrong.
    radii = (0.005, 0.02, 0.2)
    result = certify(
        model, x, y, method=method, radii=radii, batch_size=8, dtype="float64"
    )
    for radius in radii:
        expected = ht.bounds.certified(
            model, x.astype(np.float64), y, radius, method
        )
        np.testing.assert_array_equal(result.certified(radius), expected)
    assert result.certified(0.005).sum() > 10 > result.certified(0.2).sum()
    for index, row in enumerate(result.rows):
        assert (row["index"], row["label"]) == (index, y[index])
        assert row["seconds"] > 0
    predicted = [row["prediction"] for row in result.rows]
    np.testing.assert_array_equal(predicted == y, result.natural)


def test_network_that_ends_in_a_softmax_is_refused():
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.Dense(2, activation="softmax")]
    )
    with pytest.raises(ht.InputError, match="ends in a softmax"):
        certify(model, IMAGES, LABELS)


def test_layers_without_bounds_are_named():
    model = keras.Sequential(
        [keras.layers.Input((2,)), keras.layers.UnitNormalization(name="odd")]
    )
    with pytest.raises(ht.InputError, match="odd"):
        certify(model, IMAGES, LABELS)
    with pytest.raises(ht.InputError, match="bounds need the graph"):
        certify(lambda x: tf.identity(x), IMAGES, LABELS)
