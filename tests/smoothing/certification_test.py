import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import hydra_tf as ht
from hydra_tf import resumable
from hydra_tf.smoothing import sampling
from tests import golden
from tests.smoothing.networks import assert_same
from tests.smoothing.networks import golden_net
from tests.smoothing.networks import stored_stream
from tests.smoothing.networks import two_classes

ARRAYS = golden.load("smoothing")
RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 8, 8, 3), np.float32)


@pytest.fixture(scope="module")
def network():
    return golden_net(ARRAYS)


@pytest.fixture
def golden_noise(monkeypatch):
    """Puts the stored noise in place of ours.

    It was rounded to float16, which changes none of the golden counts.
    """

    def use(*parts):
        noise = np.concatenate([ARRAYS[f"certify/{part}"][0] for part in parts])
        monkeypatch.setattr(sampling, "GaussianStream", stored_stream(noise))

    return use


@pytest.mark.parametrize("case", [0, 1, 2])
def test_certificates_match_golden(case, network, golden_noise):
    golden_noise("noise_selection", "noise_estimation")
    certified = ht.smoothing.certify(
        network,
        ARRAYS["certify/images"],
        float(ARRAYS["certify/sigmas"][case]),
        int(ARRAYS["certify/N0"]),
        int(ARRAYS["certify/N"]),
        float(ARRAYS["certify/alpha"]),
        batch_size=300,
    )
    selected = ARRAYS["certify/selected_class"][0, case]
    assert certified.selected_classes.tolist() == [selected]
    assert certified.counts.tolist() == [
        ARRAYS["certify/counts_estimation"][0, case, selected]
    ]
    np.testing.assert_allclose(
        certified.lower_bounds, ARRAYS["certify/pABar"][:, case], rtol=1e-9
    )
    np.testing.assert_array_equal(
        certified.predictions, ARRAYS["certify/class"][:, case]
    )
    np.testing.assert_allclose(
        certified.radii, ARRAYS["certify/radius"][:, case], rtol=1e-6
    )


@pytest.mark.parametrize("case", [0, 1, 2])
def test_predictions_match_golden(case, network, golden_noise):
    golden_noise("noise_estimation")
    for alpha, key in [(0.001, "class"), (0.05, "class_alpha_0_05")]:
        predicted = ht.smoothing.predict(
            network,
            ARRAYS["certify/images"],
            float(ARRAYS["certify/sigmas"][case]),
            int(ARRAYS["certify/N"]),
            alpha,
        )
        np.testing.assert_array_equal(
            predicted.predictions, ARRAYS[f"certify/predict_{key}"][:, case]
        )
    np.testing.assert_allclose(
        predicted.p_values,
        ARRAYS["certify/predict_p_value"][:, case],
        rtol=1e-9,
    )
    counts = np.sort(ARRAYS["certify/counts_estimation"][0, case])
    assert predicted.counts.tolist() == [counts[:-3:-1].tolist()]


def test_radius_of_a_linear_classifier_is_below_the_distance_to_its_border():
    # Smoothing leaves a half-space as it is: the class of `w x + b` has
    # probability Phi(|w x + b| / (sigma |w|)), so a perfect estimate would
    # give the radius |w x + b| / |w|, the distance to the border.
    rng = np.random.default_rng(1)
    w = rng.normal(size=(4, 4, 1)).astype(np.float32)
    norm = np.linalg.norm(w)
    x = rng.random((40, 4, 4, 1), np.float32)
    margins = np.tensordot(x, w, 3)
    b = -np.median(margins)
    model = two_classes(lambda images: tf.tensordot(images, w, 3) + b)
    # With alpha this small no certificate is wrong by chance.
    certified = ht.smoothing.certify(
        model, x, 0.25, 50, 2_000, 1e-12, batch_size=2_000
    )
    distance = np.abs(margins + b) / norm
    proved = certified.predictions >= 0
    assert 10 < proved.sum() < 40
    assert np.all(certified.radii <= distance + 1e-6)
    np.testing.assert_array_equal(
        certified.predictions[proved], (margins + b < 0)[proved]
    )
    # Not too cautious: on average what the median count would prove.
    probability = stats.norm.cdf(distance / 0.25)
    count = stats.binom.median(2_000, probability)
    expected = ht.smoothing.certified_radius(
        ht.smoothing.lower_confidence_bound(count, 2_000, 1e-12), 0.25
    )
    assert abs(np.mean(certified.radii - expected)) < 0.01


def test_a_coin_is_neither_predicted_nor_certified():
    coin = two_classes(lambda images: images[:, 0])
    x = np.zeros((5, 3), np.float32)
    certified = ht.smoothing.certify(coin, x, 0.5, 100, 1_000)
    assert certified.predictions.tolist() == [-1] * 5
    assert certified.radii.tolist() == [0.0] * 5
    assert np.all(np.abs(certified.counts - 500) < 100)
    predicted = ht.smoothing.predict(coin, x, 0.5, 1_000, 1e-6)
    assert predicted.predictions.tolist() == [-1] * 5


def test_draws_without_an_answer_count_for_no_class():
    # A NaN in the logits: `argmax` alone would call it class 0.
    model = two_classes(lambda images: images[:, 0] * np.nan)
    x = np.zeros((2, 3), np.float32)
    certified = ht.smoothing.certify(model, x, 0.5, 10, 100)
    assert certified.counts.tolist() == [0, 0]
    assert certified.predictions.tolist() == [-1, -1]
    predicted = ht.smoothing.predict(model, x, 0.5, 100)
    assert predicted.predictions.tolist() == [-1, -1]


def test_selection_and_estimation_see_different_noise(monkeypatch):
    """With one class per sign of the noise, equal noise would be noticed."""
    seen = []
    monkeypatch.setattr(
        sampling.NoisySampler,
        "each",
        lambda self, x, first_index=0: iter([np.arange(12)]),
    )
    monkeypatch.setattr(
        "hydra_tf.smoothing.certification._votes",
        lambda classes: seen.append(classes) or np.array([0, 1]),
    )
    certified = ht.smoothing.certify(
        lambda x: x, np.zeros((1, 3), np.float32), 0.5, 4, 8
    )
    assert seen[0].tolist() == [0, 1, 2, 3]
    # Class 1 occurs among the selecting draws only.
    assert certified.counts.tolist() == [0]


def test_certified_accuracy_counts_what_is_right_and_far_enough():
    certified = ht.smoothing.Certification.collect(
        [
            ht.smoothing.Certificate(i, p, r, max(p, 0), 9, 0.9, 0.1)
            for i, (p, r) in enumerate([(3, 0.5), (3, 0.1), (2, 0.9), (-1, 0)])
        ]
    )
    labels = [[3], [3], [3], [3]]
    assert certified.certified_accuracy(labels) == 0.5
    assert certified.certified_accuracy(labels, 0.5) == 0.25
    assert certified.certified_accuracy(labels, 0.6) == 0.0
    with pytest.raises(ht.InputError, match="`labels` must hold 4 classes"):
        certified.certified_accuracy([3])


def test_a_stopped_run_is_resumed(network, tmp_path, monkeypatch, capsys):
    settings = {"sigma": 0.5, "n0": 10, "n": 50, "batch_size": 32, "seed": 2}
    expected = ht.smoothing.certify(network, IMAGES, **settings)
    path = tmp_path / "certificates.tsv"
    append = resumable.ResumableTable.append

    def append_three(self, row):
        if row["index"] == 3:
            raise KeyboardInterrupt
        append(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(resumable.ResumableTable, "append", append_three)
        with pytest.raises(KeyboardInterrupt):
            ht.smoothing.certify(network, IMAGES, output=path, **settings)
    lines = path.read_text().splitlines()
    assert len(lines) == 5
    with open(path, "a") as file:
        file.write("3\t5\t0.1")  # Cut off.
    certified = ht.smoothing.certify(network, IMAGES, output=path, **settings)
    assert_same(certified, expected)
    assert path.read_text().splitlines()[:5] == lines
    assert len(path.read_text().splitlines()) == 8

    def unused(images):
        raise AssertionError("everything is done already")

    settings["batch_size"] = 16  # Changes no result.
    certified = ht.smoothing.certify(unused, IMAGES, output=path, **settings)
    assert_same(certified, expected)
    assert np.all(certified.seconds > 0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change", [{"sigma": 0.25}, {"n": 51}, {"seed": 1}, {"first_index": 1}]
)
def test_output_of_other_settings_is_refused(change, network, tmp_path):
    settings = {"sigma": 0.5, "n0": 2, "n": 50}
    path = tmp_path / "certificates.tsv"
    ht.smoothing.certify(network, IMAGES[:2], output=path, **settings)
    with pytest.raises(ht.InputError, match=f"other settings: {[*change][0]}"):
        ht.smoothing.certify(
            network, IMAGES[:2], output=path, **{**settings, **change}
        )
    with pytest.raises(ht.InputError, match="other settings: images"):
        ht.smoothing.certify(network, IMAGES[1:3], output=path, **settings)


def test_progress_is_shown_on_request(network, capsys):
    ht.smoothing.certify(network, IMAGES, 0.5, 2, 5, verbose=1)
    assert "6/6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.0}, "`sigma` must be a number > 0"),
        ({"sigma": -0.25}, "`sigma` must be a number > 0"),
        ({"sigma": float("inf")}, "`sigma` must be a number > 0"),
        ({"n0": 0}, "`n0` must be a whole number >= 1"),
        ({"n": 0}, "`n` must be a whole number >= 1"),
        ({"n": 10.5}, "`n` must be a whole number >= 1"),
        ({"alpha": 0.0}, "`alpha` must be a number in"),
        ({"alpha": 1.0}, "`alpha` must be a number in"),
        ({"alpha": "small"}, "`alpha` must be a number in"),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1"),
        ({"seed": None}, "`seed` must be an integer"),
        ({"seed": -1}, "`seed` must be an integer from 0"),
        ({"first_index": -1}, "`first_index` must be a whole number >= 0"),
        ({"x": IMAGES[:0]}, "`x` must hold one image or more"),
        ({"x": np.float32(1)}, r"`x` must have the shape \(batch, 8, 8, 3\)"),
        ({"x": np.zeros(3, np.float32)}, "`x` must have the shape"),
        ({"x": np.zeros((1, 8, 8, 3), np.uint8)}, "`x` must hold float images"),
        ({"model": "run/saved_model"}, "`model` must be callable"),
        ({"model": lambda x: x}, "must return logits of shape"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message, network, tmp_path):
    output = tmp_path / "certificates.tsv"
    arguments = {"model": network, "x": IMAGES, "sigma": 0.5, **change}
    with pytest.raises(ht.InputError, match=message) as error:
        ht.smoothing.certify(output=output, **arguments)
    assert "\n" not in str(error.value)
    assert not output.exists()
    if "n0" not in change:
        with pytest.raises(ht.InputError, match=message):
            ht.smoothing.predict(**arguments)
