"""The plot of densities: what it shows, whatever the number of layers."""

import pytest

from trainers.plots import densities as density_plot

PNG = b"\x89PNG\r\n\x1a\n"


def sparsity(densities, **units):
    """Returns a record of layers of 1000 weights each."""
    layers = [
        {
            "name": f"layer_{number}",
            "weights": 1000,
            "kept": round(1000 * density),
            "density": density,
            **{name: values[number] for name, values in units.items()},
        }
        for number, density in enumerate(densities)
    ]
    return {"density": sum(densities) / len(densities), "layers": layers}


def drawn(*arguments):
    """Returns the figure, its axes, and the labels of its lines."""
    figure = density_plot.draw(*arguments)
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    return figure, axes, lines


def test_bars_are_the_densities_from_top_to_bottom():
    _, axes, lines = drawn(sparsity([0.1, 0.3, 0.2]), 0.2, "here")
    assert [bar.get_width() for bar in axes.patches] == [10, 30, 20]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["layer_0", "layer_1", "layer_2"]
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert axes.get_title() == "here"
    assert axes.get_xscale() == "linear"
    assert set(lines) == {"target, 20 %", "all layers, 20 %"}
    assert list(lines["target, 20 %"].get_xdata()) == [20, 20]


def test_wide_range_is_logarithmic_and_shows_the_smallest():
    _, axes, lines = drawn(sparsity([0.00045, 0.9]), None, "")
    assert axes.get_xscale() == "log"
    left, right = axes.get_xlim()
    assert left <= 0.045 < right
    assert not any(label.startswith("target") for label in lines)


def test_channels_are_marked_where_there_are_any():
    units = {"units": [None, 16, 8], "units_kept": [None, 4, 4]}
    _, _, lines = drawn(sparsity([1.0, 0.25, 0.2], **units), 0.5, "")
    marks = lines["channels kept"]
    assert list(marks.get_xdata()) == [25, 50]
    assert list(marks.get_ydata()) == [1, 2]
    assert "target, 50 % of channels" in lines


@pytest.mark.parametrize("layers", [1, 54])
def test_every_layer_has_a_line_of_text_s_height(layers, tmp_path):
    record = sparsity([(number + 1) / layers for number in range(layers)])
    figure, axes, _ = drawn(record, 0.01, "")
    inches = figure.get_size_inches()[1]
    assert 0.2 * layers < inches < 2 + 0.25 * layers
    assert len(axes.get_yticklabels()) == layers
    path = tmp_path / "densities.png"
    for _ in range(2):
        density_plot.write(path, record, 0.01, "")
    assert path.read_bytes().startswith(PNG)
    assert list(tmp_path.iterdir()) == [path]
