"""The line that an epoch leaves."""

from hydra_tf.training.epoch_lines import EpochLines

LOGS = {"loss": 0.5, "natural_accuracy": 0.75, "robust_accuracy": 0.5}


def lines_of(mode, capsys, **further):
    lines = EpochLines("prune", 12, 10, mode)
    lines.on_epoch_begin(2)
    lines.on_train_batch_end(0, LOGS)
    lines.on_epoch_end(2, LOGS | further)
    return capsys.readouterr().out


def test_line_has_figures_and_the_epoch(capsys):
    out = lines_of("epochs", capsys, epsilon=0.1, density=0.25)
    assert out.startswith(
        "  prune  3/12  loss  0.5000  natural  75.0 %  robust"
    )
    assert "epsilon 0.1000  density 0.2500" in out
    assert out.count("\n") == 1


def test_nothing_is_written_unasked(capsys):
    assert not lines_of("none", capsys)
