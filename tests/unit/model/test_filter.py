"""The filter language, word by word."""

from __future__ import annotations

import warnings

import pytest
from msgspec.structs import replace

from iotop_ng.errors import UsageError
from iotop_ng.model.filter import ALIASES, LONGEST, parse_filter
from iotop_ng.sample import Totals
from tests.unit.model.test_fields import MIB, ROW

WRITER = replace(
    ROW,
    comm="log-flood",
    command="log-flood --rate max --file=/var/log/x",
    user="app",
    cgroup="/system.slice/app.service",
    container="web-0/app",
    write_bytes_per_s=6.0 * MIB,
    read_bytes_per_s=0.0,
    latency_p99_us=41_000.0,
    io_delay_pct=62.0,
    disk_iops=1900.0,
    totals=Totals(write_bytes=7 << 30),
)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "flood", "FLOOD", "^log", "max|min", "4242", "app", "!dd", "!!flood",
        '"log-flood --r"',
        "user:app", "comm:log-flood", "comm:log*", "comm:log-floo?", "pid:4242", "pid:1,4242",
        "cgroup:/system.slice", "cgroup:/system.slice/", "cgroup:/system.slice/app.service",
        "cgroup:*.service", "!user:root", "write>5M", "write>=6M", "write=6M", "write==6291456",
        "write!=5M", "write<7MB", "write>5M/s", "write_bytes_per_s>1", "WRITE>5M", "read=0",
        "read<1K",
        "p99>20ms", "latency>=41ms", "p99<1s", "p99>200us", "p99>0", "io>50", "io>50%", "iops>1.5k",
        "container:app", "container:web-0/app", "container:a*",
        "write_total>5G", "write_bytes_total>5G", "flood write>5M !user:root pid:4242",
        "--file=/var", '!"x y"', "!write>100M", "!fsync>1ms",
    ],
)  # fmt: skip
def test_words_that_match_the_writer(text: str) -> None:
    assert parse_filter(text).matches(WRITER)


@pytest.mark.parametrize(
    "text",
    [
        "!flood", "^flood", "user:ap", "user:APP", "comm:log", "pid:424", "tid:0", "cgroup:/system",
        "cgroup:/user.slice", "write>6M", "write<6M", "write!=6M", "p99>41ms", "read>0", "io<50",
        "fsync>1ms", "fsync<1s", "fsync!=1ms", "flood write>9M", "write_total<5G",
        "comm:", "!!comm:", "container:web", "container:web-0", "container:",
    ],
)  # fmt: skip
def test_words_that_do_not_match_the_writer(text: str) -> None:
    assert not parse_filter(text).matches(WRITER)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(", "'('"),
        ("a{99999999999999999999}", "not a regular expression"),
        ("wrte>5M", "did you mean 'write'?"),
        ("wrte>5M", "column>number"),
        ("(", "key:value"),
        ("write>5X", "5X"),
        ("write>", "write>"),
        ("p99>20", "followed by ns or us or ms or s"),
        ("p99>5M", "ms"),
        ("iops>5ms", "iops>5ms"),
        ("io>5ms", "%"),
        ("pid:abc", "pid:abc"),
        ("pid:", "expected a number"),
        ("pid:99999999999", "expected a number"),
        ("x" * (LONGEST + 1), "longer"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(text)

    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_pythons_warnings_about_a_regex_stay_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert parse_filter("[[a]").tests


def test_a_filter_remembers_its_text() -> None:
    assert parse_filter("user:root write>5M").text == "user:root write>5M"


def test_every_short_name_can_be_compared() -> None:
    for alias in ALIASES:
        assert parse_filter(f"{alias}>=0").tests
