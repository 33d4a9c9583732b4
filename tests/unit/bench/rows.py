"""Raw lines of a comparison with numbers that are easy to follow."""

from __future__ import annotations

from tests.bench.comparison.raw import ALONE, SCHEMA, Line, Missing, Run, Setting, Told

MB = 1_000_000
SECONDS = 5


def setting(scenario: str = "steady") -> Setting:
    """A disk of 40 MB/s that may be written to for 5 s; an fsync may take 20 ms."""
    is_slow = scenario == "slow"
    return Setting(
        schema=SCHEMA,
        scenario=scenario,
        device="some disk",
        file_system="ext4",
        kernel="6.1.0",
        date="2026-01-02",
        command="python -m tests.bench.policies here --scenario steady",
        seconds=SECONDS,
        rest_s=2,
        rounds=2,
        hog="--mode big --span 256M",
        hog_bytes_per_s=80 * MB,
        victim="append of 4 KiB and fdatasync every 50 ms",
        limit_ms=20,
        capacity_bytes_per_s=40 * MB,
        slow_at_s=2.5 if is_slow else None,
        slow_capacity_bytes_per_s=12 * MB if is_slow else None,
    )


def steady(took_ms: float, every_ms: float = 50, late_ms: float = 0) -> tuple[tuple[int, int], ...]:
    """Return fsyncs of one latency, the first one of another."""
    period_us, took_us = int(1000 * every_ms), int(1000 * took_ms)
    begins = range(0, SECONDS * 1_000_000 - took_us, period_us)
    return tuple((at, took_us if at or not late_ms else int(1000 * late_ms)) for at in begins)


def counted(rate_mb: int) -> tuple[tuple[int, int], ...]:
    """Return totals of something with a constant rate, once per second."""
    return tuple((second * 1_000_000, second * rate_mb * MB) for second in range(SECONDS + 1))


def hog(rate_mb: int) -> tuple[Told, ...]:
    """Return what a hog tells that wants 80 MB/s and writes less; a second of it is no loss."""
    return tuple(
        Told(
            second * 1_000_000,
            second * rate_mb * MB,
            second * 80 * MB,
            max(second * (80 - rate_mb) - 80, 0) * MB,
        )
        for second in range(1, SECONDS + 2)
    )


def alone(number: int) -> Run:
    """The victim alone: 20 fsyncs/s of 2 ms."""
    return Run(number, ALONE, steady(2), (), counted(0))


def lines(scenario: str = "steady") -> list[Line]:
    """Two rounds: one contestant does nothing, two help, one is not here."""
    found: list[Line] = [setting(scenario)]
    for number in range(2):
        found += [
            alone(number),
            Run(number, "none", steady(500, 500), hog(40), counted(40)),
            Run(number, "io.max at 50 %", steady(4, 50, 90), hog(20), counted(20)),
            Missing(number, "io.latency", "not in this kernel", never_ran=True),
            Run(number, "guard", steady(3 + number), hog(30), counted(30), writes=7 + number),
        ]
    return found
