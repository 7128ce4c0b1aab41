"""A line that counts steps."""

import sys

import pytest

from hydra_tf.progress import Ticker


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def run(clock, **settings):
    ticker = Ticker("pgd", 10, **settings)
    for done in (7, 8, 9):
        clock[0] += 20.0
        ticker.update(done, "robust")
    ticker.close()


def test_terminal_has_one_line_in_place(clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(clock)
    line, erased = "\r\x1b[2K  pgd  9/10  robust  7 s left", "\r\x1b[2K"
    assert capsys.readouterr().out.endswith(line + erased)


def test_log_has_a_line_now_and_then(clock, capsys):
    run(clock)
    assert capsys.readouterr().out == "  pgd  8/10  robust  10 s left\n"


def test_time_left_is_that_of_the_steps_to_come(clock, capsys):
    run(clock, done=6)
    # 2 steps took 40 s, and 2 are left.
    assert capsys.readouterr().out == "  pgd  8/10  robust  40 s left\n"


def test_none_is_silent(clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(clock, mode="none")
    assert capsys.readouterr() == ("", "")
