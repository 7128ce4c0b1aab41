"""A lock is one process', until it ends."""

import subprocess
import sys

from trainers.sweeping import locks

HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_nobody_waits_unless_asked_to(tmp_path):
    path = tmp_path / "locks" / "a"
    with locks.held(path) as first, locks.held(path) as second:
        assert first is not None and second is None
    with locks.held(path) as again:
        assert again is not None


def test_lock_is_waited_for_and_released_when_its_process_ends(tmp_path):
    path = tmp_path / "a"
    path.touch()
    other = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"held\n"
    waited = []

    def waiting():
        waited.append(True)
        other.kill()

    with locks.held(path, waiting) as lock:
        assert lock is not None and waited == [True]
    other.communicate()
