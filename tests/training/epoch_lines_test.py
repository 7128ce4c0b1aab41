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
    compiling, line = out.splitlines()
    assert compiling == "  prune  3/12  step  compiling"
    assert line.startswith(
        "  prune  3/12  loss  0.5000  natural  75.0 %  robust"
    )
    assert "epsilon 0.1000  density 0.2500" in line


def test_line_tells_training_from_validation(capsys):
    out = lines_of("epochs", capsys, val_robust_accuracy=0.25)
    assert "robust  50.0 %  val robust  25.0 %" in out


def test_time_left_is_without_what_is_compiled(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    lines = EpochLines("prune", 4, 3, "epochs", validation_steps=2)

    def play(epoch, train, validate):
        """Plays an epoch of steps that take so long; returns its line."""
        lines.on_epoch_begin(epoch)
        for batch, seconds in enumerate(train):
            now[0] += seconds
            lines.on_train_batch_end(batch, LOGS)
        lines.on_test_begin()
        for batch, seconds in enumerate(validate):
            now[0] += seconds
            lines.on_test_batch_end(batch)
        lines.on_epoch_end(epoch, LOGS)
        return capsys.readouterr().out.splitlines()

    # 3 steps of 2 s and 2 of 1 s, three times.
    compiling, validating, line = play(0, [25, 2, 2], [20, 1])
    assert compiling == "  prune 1/4  step  compiling"
    assert validating == "  prune 1/4  validation step  compiling"
    assert line.endswith("50.0 s  24 s left")
    now[0] += 60.0  # Images for TensorBoard, compiled too.
    (line,) = play(1, [2, 2, 2], [1, 1])
    assert line.endswith("8.0 s  16 s left")
    now[0] += 4.0
    (line,) = play(2, [2, 2, 2], [1, 1])
    assert line.endswith("8.0 s  12 s left")
    (line,) = play(3, [2, 2, 2], [1, 1])
    assert line.endswith("  8.0 s")


def test_nothing_is_written_unasked(capsys):
    assert not lines_of("none", capsys)
