"""Whole disks, their counters and their partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotop_ng.sample import Device
from iotop_ng.sources.devices import Devices, parse_line
from tests.fakes.procfs import FakeDisk, FakeProc

COUNTERS = [11, 12, 130, 14, 15, 16, 170, 18, 1, 20, 21, 22, 23, 240, 25, 26, 27]


@pytest.mark.parametrize(
    ("count", "discard", "flush"),
    [(11, None, None), (15, 240 * 512, None), (17, 240 * 512, 26), (20, 240 * 512, 26)],
)
def test_old_and_new_kernels_have_fewer_and_more_fields(
    count: int, discard: int | None, flush: int | None
) -> None:
    counters = [*COUNTERS, 28, 29, 30][:count]
    line = FakeDisk("vda", 254, 0, counters).line().encode()

    device = parse_line(line, is_stacked=False)

    assert device is not None
    assert (device.name, device.major, device.minor) == ("vda", 254, 0)
    assert (device.read_ios, device.read_bytes, device.read_ms) == (11, 130 * 512, 14)
    assert (device.write_ios, device.write_bytes, device.write_ms) == (15, 170 * 512, 18)
    assert (device.in_flight, device.busy_ms, device.weighted_ms) == (1, 20, 21)
    assert (device.discard_bytes, device.flush_ios) == (discard, flush)


@pytest.mark.parametrize("line", [b"", b"8 0", b"8 0 sda 1 2 3", b"a b c " + b"1 " * 11])
def test_what_is_no_device_is_none(line: bytes) -> None:
    assert parse_line(line, is_stacked=False) is None


@pytest.fixture
def fake(tmp_path: Path) -> FakeProc:
    fake = FakeProc(tmp_path)
    fake.add_disk(
        FakeDisk("sda", 8, 0, COUNTERS),
        partitions=[FakeDisk("sda1", 8, 1, COUNTERS), FakeDisk("sda2", 259, 5, COUNTERS)],
    )
    fake.add_disk(FakeDisk("dm-0", 253, 0, COUNTERS), slaves=["sda2"])
    fake.add_disk(FakeDisk("loop0", 7, 0, COUNTERS))
    return fake


def test_only_whole_disks_are_told(fake: FakeProc) -> None:
    devices = Devices(fake.root).read()

    assert [(device.name, device.is_stacked) for device in devices] == [
        ("sda", False), ("dm-0", True), ("loop0", False),
    ]  # fmt: skip


def test_partitions_fold_into_their_disk(fake: FakeProc) -> None:
    devices = Devices(fake.root)

    assert devices.fold(8, 1) == (8, 0)
    assert devices.fold(259, 5) == (8, 0)
    assert devices.fold(8, 0) == (8, 0)
    assert devices.fold(253, 0) == (253, 0)
    assert devices.fold(99, 9) == (99, 9)


def test_an_unchanged_disk_is_the_same_object(fake: FakeProc) -> None:
    devices = Devices(fake.root)
    before = devices.read()
    fake.set_disks([FakeDisk("sda", 8, 0, [12, *COUNTERS[1:]]), *fake.disks[1:]])

    after = devices.read()

    assert after[0].read_ios == 12
    assert after[1] is before[1]


def test_disks_come_and_go(fake: FakeProc) -> None:
    devices = Devices(fake.root)
    devices.read()
    fake.set_disks([disk for disk in fake.disks if disk.name != "loop0"])
    gone = devices.read()
    fake.add_disk(FakeDisk("sdb", 8, 16, COUNTERS), partitions=[FakeDisk("sdb1", 8, 17)])
    come = devices.read()

    assert [device.name for device in gone] == ["sda", "dm-0"]
    assert [device.name for device in come] == ["sda", "dm-0", "sdb"]
    assert devices.fold(8, 17) == (8, 16)


def test_a_number_that_meant_a_partition_may_mean_a_disk(fake: FakeProc) -> None:
    devices = Devices(fake.root)
    devices.read()
    assert devices.fold(259, 5) == (8, 0)
    (fake.root / "sys/dev/block/259:5").unlink()
    fake.set_disks([disk for disk in fake.disks if disk.minor != 5])
    devices.read()
    fake.add_disk(FakeDisk("nvme0n1", 259, 5, COUNTERS))

    names = [device.name for device in devices.read()]

    assert names == ["sda", "dm-0", "loop0", "nvme0n1"]
    assert devices.fold(259, 5) == (259, 5)


def test_without_diskstats_there_are_none(tmp_path: Path) -> None:
    assert Devices(tmp_path).read() == ()


def test_more_disks_than_fit_one_page_are_read(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.set_disks([FakeDisk(f"sd{n}", 65, n, COUNTERS) for n in range(1200)])

    assert len(Devices(tmp_path).read()) == 1200


def test_the_real_machine_says_what_diskstats_says() -> None:
    """Every whole disk of sysfs, bytes between two plain readings of the same file."""
    devices = Devices()
    before = _plain()
    told = devices.read()
    after = _plain()
    devices.close()

    assert {device.name for device in told} == {
        name for name in before if (Path("/sys/block") / name.replace("/", "!")).exists()
    }
    for device in told:
        low, high = before[device.name], after[device.name]
        assert low[0] <= _ours(device)[0] <= high[0]
        assert low[1] <= _ours(device)[1] <= high[1]


def _plain() -> dict[str, tuple[int, int]]:
    lines = [line.split() for line in Path("/proc/diskstats").read_text("utf-8").splitlines()]
    return {fields[2]: (int(fields[5]) * 512, int(fields[9]) * 512) for fields in lines}


def _ours(device: Device) -> tuple[int, int]:
    return device.read_bytes, device.write_bytes


def test_the_descriptor_is_kept_and_closed() -> None:
    devices = Devices()
    devices.read()
    count = _open_files()
    devices.read()

    assert _open_files() == count
    devices.close()
    assert _open_files() == count - 1


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
