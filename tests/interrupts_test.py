"""Signals that stop a run."""

import os
import signal

import pytest

from hydra_tf import interrupts


@pytest.fixture(autouse=True)
def handlers():
    """Puts back what stood before."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    interrupts.install_handlers()  # Forgets what was received.
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_raises_and_is_remembered(number):
    interrupts.install_handlers()
    assert interrupts.received() is None
    interrupts.check()
    with pytest.raises(interrupts.Interrupted) as stop:
        os.kill(os.getpid(), number)
    assert stop.value.signal_number == number
    # An exception that was lost on its way is raised again.
    with pytest.raises(interrupts.Interrupted):
        interrupts.check()
    assert interrupts.received() == number
    assert isinstance(stop.value, KeyboardInterrupt)
