from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from autotuner.tuning.on_ray.interrupts import Interrupts, sigint_heard


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_both_signals_interrupt_and_are_told_apart(number: signal.Signals, exit_code: int) -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.watch():
        signal.raise_signal(number)
    assert interrupts.exit_code == exit_code


def test_the_first_signal_counts() -> None:
    interrupts = Interrupts()
    for number in (signal.SIGTERM, signal.SIGINT):
        with pytest.raises(KeyboardInterrupt), interrupts.watch():
            signal.raise_signal(number)
    assert interrupts.exit_code == 143


def test_handlers_are_given_back_however_it_ends() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), Interrupts().watch():
        signal.raise_signal(signal.SIGTERM)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_that_was_swallowed_interrupts_again() -> None:
    interrupts = Interrupts()
    with interrupts.watch():
        interrupts.heed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            interrupts.heed()
    assert interrupts.exit_code == 143


def test_at_once_sigterm_interrupts_whoever_has_taken_sigint() -> None:
    interrupts = Interrupts()
    with interrupts.watch(at_once=True):
        signal.signal(signal.SIGINT, lambda *_: None)  # as Ray Tune does
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert interrupts.exit_code == 143


def test_off_the_main_thread_nothing_is_watched() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter() -> None:
        with Interrupts().watch():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_signal_that_ray_swallowed_while_it_started_is_heeded() -> None:
    interrupts = Interrupts()
    with interrupts.hear():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with interrupts.watch(), pytest.raises(KeyboardInterrupt):
            interrupts.heed()
    assert interrupts.exit_code == 130


_IGNORING = """
import signal, sys
from autotuner.tuning.on_ray.interrupts import sigint_heard
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
try:
    with sigint_heard():
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    signal.raise_signal(signal.SIGINT)
    sys.exit(7)
"""


def test_a_process_that_began_with_sigint_ignored_hears_it_meanwhile() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run([sys.executable, "-c", _IGNORING], timeout=60, check=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode == 7, "interrupted, and ignored again after it"


def test_who_has_a_handler_of_their_own_keeps_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    with sigint_heard():
        assert signal.getsignal(signal.SIGINT) is before
