"""The plot of training against validation, phase by phase."""

from trainers.plots import learning_curves


def history(training, validation, **last):
    """Returns epochs with these robust accuracies."""
    epochs = [
        {
            "epoch": number,
            "natural_accuracy": 0.9,
            "robust_accuracy": one,
            "val_natural_accuracy": 0.8,
            "val_robust_accuracy": other,
        }
        for number, (one, other) in enumerate(
            zip(training, validation, strict=True), 1
        )
    ]
    epochs[-1].update(last)
    return epochs


HISTORIES = {
    "pretrain": history([0.2, 0.4, 0.6], [0.2, 0.3, 0.25], best_epoch=2),
    "prune": history([0.5], [0.25]),
}


def test_each_phase_has_a_panel_of_training_against_validation():
    figure = learning_curves.draw(HISTORIES, "here")
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["pretrain", "prune"]
    lines = {line.get_label(): line for line in panels[0].get_lines()}
    assert list(lines["robust, training"].get_ydata()) == [20, 40, 60]
    assert list(lines["robust, validation"].get_ydata()) == [20, 30, 25]
    assert list(lines["robust, validation"].get_xdata()) == [1, 2, 3]
    assert list(lines["weights kept"].get_xdata()) == [2, 2]
    assert not any("certified" in name for name in lines)
    assert "weights kept" not in [
        line.get_label() for line in panels[1].get_lines()
    ]
    assert len(figure.legends[0].get_texts()) == 5


def test_equal_curves_are_both_seen():
    lines = learning_curves.draw(HISTORIES, "").axes[0].get_lines()
    natural, robust = (
        next(line for line in lines if line.get_label() == label)
        for label in ("natural, validation", "robust, validation")
    )
    assert natural.get_linewidth() > robust.get_linewidth()
    assert natural.get_zorder() <= robust.get_zorder()


def test_file_is_a_png(tmp_path):
    path = tmp_path / "learning_curves.png"
    learning_curves.write(path, {"prune": HISTORIES["prune"]}, "")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list(tmp_path.iterdir()) == [path]
