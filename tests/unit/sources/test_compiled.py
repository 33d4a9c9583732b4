"""The cache of compiled programs is used only when it can be trusted."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.sources import compiled
from iotop_ng.sources.compiled import Compiled, MapDef
from iotop_ng.sources.plan import Kind, Plan, Program, Tier
from iotop_ng.sources.programs import relocate

PROGRAM = Program("on_bio", "block", Tier.DEFAULT, Kind.RAW, ("block_bio_queue",))
THING = Compiled(
    plan=Plan((PROGRAM,), ("-DX=1",), ("a gap",), 7),
    maps=(MapDef("owners", 1, 8, 384, 10240, 0, 11),),
    code={"on_bio": b"\x18" * 16},
)


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "cache"

    assert compiled.store(folder, "bpf-a", THING)
    assert compiled.load(folder, "bpf-a") == THING
    assert folder.stat().st_mode & 0o777 == 0o700


def test_another_key_finds_nothing(tmp_path: Path) -> None:
    compiled.store(tmp_path / "c", "bpf-a", THING)

    assert compiled.load(tmp_path / "c", "bpf-b") is None


def test_a_file_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compiled.store(folder, "bpf-a", THING)

    (folder / "bpf-a").chmod(0o620)

    assert compiled.load(folder, "bpf-a") is None


def test_a_directory_that_others_may_write_is_neither_used_nor_filled(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compiled.store(folder, "bpf-a", THING)

    folder.chmod(0o777)

    assert compiled.load(folder, "bpf-a") is None
    assert not compiled.store(folder, "bpf-b", THING)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compiled.store(folder, "bpf-a", THING)
    (folder / "bpf-b").symlink_to(folder / "bpf-a")

    assert compiled.load(folder, "bpf-b") is None


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    for number in range(11):
        compiled.store(folder, f"bpf-{number:02}", THING)
        os.utime(folder / f"bpf-{number:02}", ns=(number, number))
    compiled.store(folder, "bpf-last", THING)

    assert len(list(folder.iterdir())) == 8
    assert compiled.load(folder, "bpf-last") == THING


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    raw = bytearray(compiled.encode(THING))
    raw[place % len(raw)] ^= change

    assert compiled.decode(bytes(raw)) is None


@given(st.binary(max_size=300))
def test_any_other_bytes_are_nothing(raw: bytes) -> None:
    assert compiled.decode(raw) is None


def test_the_key_separates_its_parts() -> None:
    assert compiled.cache_key((b"ab", b"c")) != compiled.cache_key((b"a", b"bc"))
    assert compiled.cache_key((b"ab", b"c")) == compiled.cache_key((b"ab", b"c"))


def wide(register: int, value: int) -> bytes:
    return struct.pack("<BBhi", 0x18, register << 4, 0, value) + struct.pack("<BBhi", 0, 0, 0, 0)


@given(st.lists(st.sampled_from([3, 4, 5]), max_size=20))
def test_map_descriptors_are_replaced_and_nothing_else(fds: list[int]) -> None:
    other = struct.pack("<BBhi", 0xB7, 0x10, 0, 3)  # r0 = 3: looks like one, is none
    constant = wide(0, 4)
    code = b"".join(wide(1, fd) + other + constant for fd in fds)

    new = relocate(code, {3: 30, 4: 40, 5: 50})

    assert new == b"".join(wide(1, fd * 10) + other + constant for fd in fds)
