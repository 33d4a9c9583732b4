"""The whole disks under what a process writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotop_ng.enforcers.block_stack import BlockStack
from iotop_ng.enforcers.cgroupfs import Mount, parse_mountinfo, parse_nested
from iotop_ng.enforcers.places import Places
from tests.fakes.cgroupfs import FakeCgroupfs
from tests.fakes.procfs import FakeDisk


@pytest.fixture
def tree(tmp_path: Path) -> FakeCgroupfs:
    """A host with /dev/sda (one partition) and a second disk."""
    built = FakeCgroupfs(tmp_path)
    built.procfs.add_disk(FakeDisk("nvme0n1", 259, 0), partitions=(FakeDisk("nvme0n1p1", 259, 1),))
    return built


def stack(tree: FakeCgroupfs, disk: FakeDisk, *slaves: str) -> None:
    """Add a device that is built on others, as sysfs shows it."""
    tree.procfs.add_disk(disk)
    directory = tree.root / f"sys/devices/virtual/block/{disk.name}/slaves"
    directory.mkdir()
    for slave in slaves:
        whole = slave.rstrip("0123456789").removesuffix("p") if slave.startswith("nvme") else "sda"
        place = tree.root / "sys/devices/virtual/block" / whole
        target = place if slave == whole else place / slave
        (directory / slave).symlink_to(target)


def names(tree: FakeCgroupfs, major: int, minor: int) -> set[str]:
    return {disk.name for disk in BlockStack(tree.root).disks(major, minor)}


def test_partitions_and_stacks_end_at_whole_disks(tree: FakeCgroupfs) -> None:
    """A volume over a mirror of two partitions is on two disks."""
    stack(tree, FakeDisk("md0", 9, 0), "sda1", "nvme0n1p1")
    tree.procfs.add_disk(FakeDisk("dm-0", 253, 0))
    slaves = tree.root / "sys/devices/virtual/block/dm-0/slaves"
    slaves.mkdir()
    (slaves / "md0").symlink_to(tree.root / "sys/devices/virtual/block/md0")

    assert names(tree, 8, 1) == {"sda"}
    assert names(tree, 9, 0) == {"sda", "nvme0n1"}
    assert names(tree, 253, 0) == {"sda", "nvme0n1"}


def test_a_stack_that_holds_itself_ends(tree: FakeCgroupfs) -> None:
    """sysfs cannot show that; a circle of links must not be followed for ever."""
    tree.procfs.add_disk(FakeDisk("dm-0", 253, 0))
    slaves = tree.root / "sys/devices/virtual/block/dm-0/slaves"
    slaves.mkdir()
    (slaves / "dm-0").symlink_to(tree.root / "sys/devices/virtual/block/dm-0")

    assert "sda" not in names(tree, 253, 0)


def test_a_loop_device_counts_beside_the_disk_of_its_file(tree: FakeCgroupfs) -> None:
    """The file that is behind it may be gone."""
    tree.procfs.add_disk(FakeDisk("loop0", 7, 0))
    tree.procfs.write("sys/devices/virtual/block/loop0/loop/backing_file", "/gone (deleted)\n")

    assert names(tree, 7, 0) == {"loop0"}


def test_numbers_that_are_no_block_devices_have_no_disk(tree: FakeCgroupfs) -> None:
    """tmpfs and the like."""
    assert names(tree, 0, 21) == set()


def test_only_files_that_are_open_for_writing_count(tree: FakeCgroupfs) -> None:
    """Reading elsewhere is no reason to limit that disk."""
    tree.start(42, files=())
    tree.add_partition_mount(42, "40 24 259:1 / /fast rw - ext4 /dev/nvme0n1p1 rw")
    tree.open_file(42, 3, "written")
    tree.open_file(42, 4, "read", flags="0100000", mount=40)

    assert {disk.name for disk in Places(tree.root).open_now((42,))} == {"sda"}
    tree.open_file(42, 4, "read", flags="0100002", mount=40)
    assert {disk.name for disk in Places(tree.root).open_now((42,))} == {"sda", "nvme0n1"}


def test_without_open_files_every_writable_mount_counts(tree: FakeCgroupfs) -> None:
    """It may open a file for each write; read-only mounts are no danger."""
    tree.start(42, files=())
    tree.add_partition_mount(42, "40 24 259:1 / /fast ro - ext4 /dev/nvme0n1p1 rw")

    assert {disk.name for disk in Places(tree.root).at_first((42,))} == {"sda"}


def test_a_shared_map_counts_as_written(tree: FakeCgroupfs) -> None:
    """Its file may be closed by now."""
    tree.start(42, files=())
    tree.add_partition_mount(42, "40 24 259:1 / /fast rw - ext4 /dev/nvme0n1p1 rw")
    tree.procfs.write(
        "proc/42/maps",
        "7f00-7f01 r--p 00000000 08:01 7  /lib/x.so\n7f02-7f03 rw-s 00000000 103:01 9  /fast/db\n",
    )

    assert {disk.name for disk in Places(tree.root).at_first((42,))} == {"nvme0n1"}


def test_btrfs_is_on_all_its_devices(tree: FakeCgroupfs) -> None:
    """Its mounts have a number that is of no device; sysfs lists the devices of a pool."""
    tree.start(42, files=())
    tree.add_partition_mount(42, "40 24 0:55 /vol /pool rw - btrfs /dev/sda1 rw,subvol=/vol")
    tree.open_file(42, 3, "in the pool", mount=40)
    devices = tree.root / "sys/fs/btrfs/some-uuid/devices"
    devices.mkdir(parents=True)
    block = tree.root / "sys/devices/virtual/block"
    (devices / "sda1").symlink_to(block / "sda/sda1")
    (devices / "nvme0n1p1").symlink_to(block / "nvme0n1/nvme0n1p1")

    found = {disk.name for disk in Places(tree.root).open_now((42,))}

    assert found == {"sda", "nvme0n1"}


def test_mountinfo_is_read_with_its_escapes_and_optional_fields() -> None:
    """proc_pid_mountinfo(5); what is no such line is left out."""
    line = r"36 35 98:0 /m\040n /mnt\0112 rw,noatime master:1 shared:2 - ext3 /dev/r\134t rw,err=c"

    (mount,) = parse_mountinfo(f"{line}\nnonsense\n1 2 x:y / / rw - a b c\n")

    assert mount == Mount(
        id=36,
        major=98,
        minor=0,
        root="/m n",
        point="/mnt\t2",
        is_read_only=False,
        kind="ext3",
        source="/dev/r\\t",
        options=("rw", "err=c"),
    )


def test_nested_keys_are_read_as_they_come() -> None:
    """A line without pairs is one too (io.stat of a device that did nothing)."""
    text = "8:0 rbps=max wbps=5\n8:16\n"

    assert parse_nested(text) == {"8:0": {"rbps": "max", "wbps": "5"}, "8:16": {}}
