"""Clocks as values."""

from __future__ import annotations

import threading

from iotop_ng.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_only_forward_when_it_sleeps() -> None:
    clock = ManualClock(wall_ns=50, mono_ns=10)

    clock.sleep_until(25)
    clock.sleep_until(5)

    assert (clock.mono_ns(), clock.wall_ns()) == (25, 65)


def test_a_manual_clock_that_is_woken_does_not_jump() -> None:
    clock, wake = ManualClock(mono_ns=10), threading.Event()
    wake.set()

    clock.sleep_until(25, wake)

    assert clock.mono_ns() == 10


def test_the_machines_clock_sleeps_until_the_time_and_not_for_the_past() -> None:
    clock = SystemClock()
    due = clock.mono_ns() + 2_000_000

    clock.sleep_until(due)
    after = clock.mono_ns()
    clock.sleep_until(0)

    assert after >= due


def test_the_machines_clock_can_be_woken() -> None:
    clock, wake = SystemClock(), threading.Event()
    wake.set()
    due = clock.mono_ns() + 3600 * 10**9

    clock.sleep_until(due, wake)

    assert clock.mono_ns() < due
    assert clock.wall_ns() > 0
