"""Which devices are below others, and how many requests there can be."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.sources.stacking import below_stacks, request_slots


def disk(root: Path, name: str, number: str, *, depth: int = 256, queues: int = 1) -> Path:
    path = root / "sys/block" / name
    (path / "holders").mkdir(parents=True)
    (path / "dev").write_text(f"{number}\n")
    (path / "queue").mkdir()
    (path / "queue/nr_requests").write_text(f"{depth}\n")
    for queue in range(queues):
        (path / "mq" / str(queue)).mkdir(parents=True)
    return path


def partition(whole: Path, name: str, number: str) -> Path:
    path = whole / name
    (path / "holders").mkdir(parents=True)
    (path / "dev").write_text(f"{number}\n")
    (path / "partition").write_text("1\n")
    return path


def test_only_the_partition_under_dm_is_below(tmp_path: Path) -> None:
    sda = disk(tmp_path, "sda", "8:0")
    partition(sda, "sda1", "8:1")
    (partition(sda, "sda2", "8:2") / "holders/dm-0").mkdir()
    disk(tmp_path, "dm-0", "253:0")

    assert below_stacks(tmp_path) == frozenset({(8, 2)})


def test_a_host_without_sysfs_has_no_stacks(tmp_path: Path) -> None:
    assert below_stacks(tmp_path) == frozenset()
    assert request_slots(tmp_path) == 4096


def test_slots_cover_every_hardware_queue_and_are_a_power_of_two(tmp_path: Path) -> None:
    disk(tmp_path, "nvme0n1", "259:0", depth=1023, queues=16)

    slots = request_slots(tmp_path)

    assert slots >= 2 * 1023 * 16
    assert slots & (slots - 1) == 0


def test_garbage_in_sysfs_is_passed_over(tmp_path: Path) -> None:
    bad = disk(tmp_path, "bad", "8:0")
    (bad / "dev").write_text("nonsense")
    (bad / "queue/nr_requests").write_text("many")
    (bad / "holders/dm-0").mkdir()

    assert below_stacks(tmp_path) == frozenset()
    assert request_slots(tmp_path) == 4096
