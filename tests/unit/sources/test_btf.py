"""Offsets, argument counts and enum values out of BTF."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.errors import SourceError
from iotop_ng.sources.btf import Btf
from tests.fakes.btf import STRUCT, UNION, BtfBuilder


def small_kernel() -> BtfBuilder:
    b = BtfBuilder()
    u64 = b.integer("u64", 8)
    inner = b.composite(STRUCT, "bvec_iter", [("bi_sector", u64, 0), ("bi_size", u64, 8)])
    hidden = b.composite(UNION, "", [("first", u64, 0), ("second", u64, 0)])
    b.composite(STRUCT, "bio", [("bi_opf", u64, 16), ("bi_iter", inner, 32), ("", hidden, 56)])
    b.enum("pageflags", {"PG_locked": 0, "PG_head": 6})
    b.tracepoint("block_bio_queue", 1)
    b.tracepoint("block_rq_complete", 3)
    b.function("bpf_iter_task")
    return b


def test_offsets_follow_nested_and_anonymous_members() -> None:
    btf = Btf(small_kernel().blob())

    found = {p: btf.offset(p) for p in ("bio.bi_opf", "bio.bi_iter.bi_size", "bio.second")}

    assert found == {"bio.bi_opf": 16, "bio.bi_iter.bi_size": 40, "bio.second": 56}


@pytest.mark.parametrize("path", ["bio.bi_disk", "nosuch.field", "bio.bi_opf.deeper"])
def test_a_field_that_the_kernel_lacks_is_none(path: str) -> None:
    assert Btf(small_kernel().blob()).offset(path) is None


def test_tracepoint_arguments_are_counted() -> None:
    btf = Btf(small_kernel().blob())

    counts = [btf.raw_arguments(t) for t in ("block_bio_queue", "block_rq_complete", "gone")]

    assert counts == [1, 3, None]


def test_functions_and_enumerators_are_found_by_name() -> None:
    btf = Btf(small_kernel().blob())

    assert btf.function("bpf_iter_task") is not None
    assert btf.function("absent") is None
    assert btf.enum_value("PG_head") == 6
    assert btf.enum_value("PG_absent") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_our_own_words(raw: bytes) -> None:
    with contextlib.suppress(SourceError):
        Btf(raw)
    with contextlib.suppress(SourceError):
        Btf(b"\x9f\xeb\x01\x00" + raw)


@given(st.integers(min_value=0, max_value=400))
def test_a_cut_file_is_refused(length: int) -> None:
    whole = small_kernel().blob()
    with contextlib.suppress(SourceError):
        Btf(whole[: min(length, len(whole) - 1)])
