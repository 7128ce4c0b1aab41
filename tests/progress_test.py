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
    line, erased = "\r\x1b[2K  pgd  9/10  robust  20 s left", "\r\x1b[2K"
    assert capsys.readouterr().out.endswith(line + erased)


def test_log_has_a_line_now_and_then(clock, capsys):
    run(clock)
    assert capsys.readouterr().out == "  pgd  8/10  robust  40 s left\n"


def test_time_left_is_not_that_of_what_came_before_the_first_step(
    clock, capsys
):
    ticker = Ticker("pgd", 10, every=0.0, compiles=True)
    assert capsys.readouterr().out == "  pgd  compiling\n"
    clock[0] += 500.0
    for done in (1, 2):
        ticker.update(done)
        clock[0] += 3.0
    assert capsys.readouterr().out == "  pgd  1/10\n  pgd  2/10  24 s left\n"


def test_results_of_one_batch_do_not_seem_to_take_no_time(clock, capsys):
    ticker = Ticker("image", 12, every=30.0)
    for batch in range(2):
        clock[0] += 40.0
        for row in range(4):
            ticker.update(4 * batch + row + 1)
    out = capsys.readouterr().out
    assert out == "  image  1/12\n  image  5/12  4:40 min left\n"


def test_share_of_steps_that_say_nothing_by_their_number(clock, capsys):
    run(clock, as_share=True)
    assert capsys.readouterr().out == "  pgd  80 %  robust  40 s left\n"


def test_compiling_is_said_at_once_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Ticker("pgd", 10, compiles=True).close()
    assert capsys.readouterr().out == "\r\x1b[2K  pgd  compiling\r\x1b[2K"


def test_none_is_silent(clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(clock, mode="none", compiles=True)
    assert capsys.readouterr() == ("", "")
