"""The plot of certified accuracy."""

import pytest

from trainers.plots import certified

RESULT = {
    "method": "ibp",
    "threat_model": "linf",
    "dataset": "digits",
    "num_examples": 2,
    "natural_accuracy": 1.0,
    "certified_accuracy": [{"radius": 0.1, "certified_accuracy": 0.5}],
    "robust_accuracy": [],
}
ROWS = [
    {"label": 1, "prediction": 1, "radius": 0.3},
    {"label": 0, "prediction": 1, "radius": 0.2},
]


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_plot_is_a_png(threat_model, tmp_path):
    path = tmp_path / "certify.png"
    certified.write(path, RESULT | {"threat_model": threat_model}, ROWS)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_curve_of_smoothing_counts_right_images_up_to_their_radius():
    radii, shares = certified._smoothed_curve(ROWS)
    assert radii.tolist() == [0, 0.3, 0.3]
    assert shares.tolist() == [50, 50, 0]
