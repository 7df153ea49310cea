"""Processes that the commands start: ended however it ends."""

import signal
import subprocess
import sys

import pytest

from gem_ros.commands import _live

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_a_process_starts_leaves_none_behind(tmp_path, monkeypatch, number):
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(_live.subprocess, "Popen", Popen)
    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), _live.running("sleep", SLEEP, tmp_path / "log"):
            raise AssertionError("was not interrupted")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
        still = [each.poll() is None for each in started]
        for each in started:
            each.kill()
            each.wait()
    assert still == [False]


@pytest.fixture
def interruptible():
    """SIGINT as a terminal's processes have it; a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_while_a_process_is_ended_comes_after_its_end(tmp_path, monkeypatch):
    ended = []
    stop = _live.Running._stop

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        stop(self)
        ended.append(self.ended)

    monkeypatch.setattr(_live.Running, "_stop", interrupted)
    with pytest.raises(KeyboardInterrupt), _live.running("sleep", SLEEP, tmp_path / "log"):
        pass
    assert ended != [] and ended[0] is not None
