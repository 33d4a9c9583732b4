"""What a hog says: its JSON lines, byte for byte, and its lines for people."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from iotop_ng.clock import NS_PER_S
from iotop_ng.demo import report
from iotop_ng.demo.counts import NOTHING, Counts
from iotop_ng.demo.report import About, Reading

ABOUT = About(4242, (4243, 4244), "lines", Path("/data"), 5 << 20, 100 * NS_PER_S)
START = Reading(100 * NS_PER_S, NOTHING, 0)
QUIET = Reading(101 * NS_PER_S, Counts(5 << 20, 10240, 0, 0, 0), 5 << 20)
REFUSED = Reading(102 * NS_PER_S, Counts(7 << 20, 15360, 1024, errno.ENOSPC, 1 << 20), 10 << 20)


def test_the_first_object_says_who_writes() -> None:
    assert report.first_json(ABOUT) == (
        b'{"hog": {"pid": 4242, "writers": [4243, 4244], "mode": "lines", "directory": "/data",'
        b' "rate_bytes_per_s": 5242880, "start_ns": 100000000000}}\n'
    )
    assert b'"rate_bytes_per_s": null' in report.first_json(ABOUT._replace(rate_bytes_per_s=None))


def test_each_object_has_totals() -> None:
    assert report.json_line(QUIET, has_ended=False) == (
        b'{"time_ns": 101000000000, "written_bytes_total": 5242880, "calls_total": 10240,'
        b' "errors_total": 0, "last_error": null, "wanted_bytes_total": 5242880,'
        b' "lost_bytes_total": 0, "ended": false}\n'
    )
    assert report.json_line(REFUSED, has_ended=True) == (
        b'{"time_ns": 102000000000, "written_bytes_total": 7340032, "calls_total": 15360,'
        b' "errors_total": 1024, "last_error": "ENOSPC", "wanted_bytes_total": 10485760,'
        b' "lost_bytes_total": 1048576, "ended": true}\n'
    )


def test_lines_for_people() -> None:
    assert report.first_text(ABOUT, "lines") == (
        b"log-flood (4243, 4244) writes lines; 5.0M/s, into /data\n"
    )
    assert report.text_line(START, QUIET, START.time_ns) == b"    1 s   5.0M/s    10k calls/s\n"
    assert report.text_line(QUIET, REFUSED, START.time_ns) == (
        b"    2 s   2.0M/s   5.1k calls/s  lost 1.0M  1.0k refused (ENOSPC)\n"
    )
    assert report.last_text(START.time_ns, REFUSED) == (
        b" in all  7.0M in 2 s (3.5M/s), 15k calls  lost 1.0M  1.0k refused (ENOSPC)\n"
    )


@pytest.mark.parametrize(
    ("number", "name"), [(0, None), (5, "EIO"), (28, "ENOSPC"), (4095, "errno 4095")]
)
def test_errors_have_their_kernel_names(number: int, name: str | None) -> None:
    assert report.errno_name(number) == name


def test_a_hostile_directory_is_cleaned() -> None:
    about = ABOUT._replace(directory=Path("/data/\x1b]0;x\x07\n\u202e"))

    assert report.first_text(about, "lines").decode().count("\n") == 1
    assert b"u001b" not in report.first_json(about)
