"""The source that always works: /proc/PID/io, without BPF and without being root."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from iotop_ng.clock import NS_PER_S, Clock, SystemClock
from iotop_ng.errors import IotopError, SourceError
from iotop_ng.sample import Need, Process, Sample, Thread, process_key
from iotop_ng.sources.capabilities import own_capabilities
from iotop_ng.sources.containers import Containers
from iotop_ng.sources.devices import Devices
from iotop_ng.sources.host import HostCounters
from iotop_ng.sources.identity import Described, Identities, Users
from iotop_ng.sources.kept_file import KeptFile
from iotop_ng.sources.own_io import OwnIo, parse_io
from iotop_ng.sources.task_file import DescriptorBudget, TaskFile, totals_of
from iotop_ng.sources.task_threads import ThreadReader
from iotop_ng.sources.taskstats import DelayReader, Delays, known

NOTE_SHORT = "without BPF: processes that live less than an interval are missed"
NOTE_DENIED = "counters of other users' processes need CAP_SYS_PTRACE: sudo iotop-ng"
NOTE_PROTECTED = "counters of some processes are protected even from us"
NOTE_DELAYS = "IO% needs delay accounting: sysctl kernel.task_delayacct=1"
NOTE_DELAYS_YOUNG = "IO% counts only processes started after kernel.task_delayacct=1"

_YOUNG_NS = 2 * NS_PER_S
# Readings after which a process that works, or one that idles, is asked again who it is.
_RECHECK_BUSY = 5
_RECHECK_IDLE = 64


class _Task:
    """What is kept of one process between readings."""

    __slots__ = (
        "checked", "delays", "due", "file", "io", "is_readable", "name", "pid", "process", "raw",
        "start_ns", "threads",
    )  # fmt: skip

    def __init__(self, pid: int, file: TaskFile, start_ns: int) -> None:
        self.pid = pid
        self.name = str(pid)
        self.file = file
        self.start_ns = start_ns
        self.is_readable = True
        self.raw = b""
        self.delays: Delays | None = None
        self.checked = 0
        """The reading in which it was last described."""
        self.due = 0
        """The reading in which it is described again even when it idles."""
        self.io: OwnIo | None = None
        """None while its counters cannot be read."""
        self.threads: ThreadReader | None = None
        self.process: Process


class ProcfsSource:
    """Totals of every process that /proc shows; see `Source` for the protocol.

    An idle process costs one pread: what was made of it is handed out again.

    Args:
        root: where /proc and /sys are.
        clock: the times that samples carry.
        delays: asked for delays while the kernel counts them; None where it never can be.
        delays_problem: the note that says why `delays` is None.
        notes: what else is restricted, for every sample.
        budget: how many descriptors may be kept; None for what this process is allowed.
    """

    name = "procfs"

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        clock: Clock | None = None,
        delays: DelayReader | None = None,
        delays_problem: str = "",
        notes: tuple[str, ...] = (),
        budget: DescriptorBudget | None = None,
    ) -> None:
        self._root = root
        self._proc = f"{root / 'proc'}/"
        self._clock = clock or SystemClock()
        self._delay_reader = delays
        self._delays_problem = delays_problem
        self._has_delays = False
        self._is_counting = False
        self._delay_switch = KeptFile(root / "proc/sys/kernel/task_delayacct")
        self._notes = notes
        self._budget = budget
        self._identities = Identities(root)
        self._users = Users()
        self._containers = Containers(root, patience_s=0)
        self._devices = Devices(root)
        self._host = HostCounters(root)
        self._tasks: dict[str, _Task] = {}
        self._reading = 0
        self._with_threads = False
        self._accounted_from_ns = 0
        self._is_capable = False

    def open(self) -> None:
        """Raise the descriptor limit, try taskstats.

        Raises:
            SourceError: when this kernel shows no I/O counters at all.
        """
        if not (self._root / "proc/self/io").exists():
            raise SourceError("this kernel has no I/O accounting (CONFIG_TASK_IO_ACCOUNTING)")
        if self._budget is None:
            self._budget = DescriptorBudget.of_this_process()
        self._is_capable = "CAP_SYS_PTRACE" in own_capabilities(self._root)
        if self._delay_reader is not None:
            try:
                self._delay_reader.open()
                self._has_delays = True
            except IotopError as error:
                self._delays_problem = f"no IO%: {error}"
        if not self._is_accounted_from_boot():
            self._accounted_from_ns = self._clock.mono_ns()

    def read(self, needs: frozenset[Need] = frozenset()) -> Sample:
        """Return totals now. Threads are read for Need.THREADS only."""
        self._reading += 1
        if self._with_threads is not (Need.THREADS in needs):
            self._switch_threads()
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        names = self._pids()
        for name in names:
            if name not in self._tasks:
                self._adopt(name, mono_ns)
        self._is_counting = self._is_counting_delays(mono_ns)
        processes, ended = self._read_tasks(frozenset(names))
        for task in ended:
            processes.append(self._end(task))
            # The number may belong to a new process already.
            renewed = self._adopt(task.name, mono_ns)
            if renewed is not None:
                processes.append(renewed.process)
        self._recheck_orphans(ended)
        return Sample(
            source=self.name,
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            processes=tuple(processes),
            devices=self._devices.read(),
            host=self._host.read(),
            self_cpu_ns=time.process_time_ns(),
            notes=self._all_notes(),
        )

    def close(self) -> None:
        """Close every descriptor."""
        for task in self._tasks.values():
            self._let_go(task)
        self._tasks.clear()
        self._devices.close()
        self._host.close()
        self._delay_switch.close()
        if self._delay_reader is not None:
            self._delay_reader.close()
            self._has_delays = False

    def _pids(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208 (speed)
        except OSError as error:
            raise SourceError(f"/proc cannot be read: {error.strerror}") from error

    def _read_tasks(self, names: frozenset[str]) -> tuple[list[Process], list[_Task]]:
        delays = self._process_delays() if self._is_counting else None
        reading = self._reading
        processes: list[Process] = []
        ended: list[_Task] = []
        for task in self._tasks.values():
            raw = self._read_task(task) if task.name in names else None
            if raw is None:
                ended.append(task)
                continue
            waits = None if delays is None else delays.get(task.pid)
            is_same = raw == task.raw and waits == task.delays and reading < task.due
            if is_same and (task.threads is None or not task.threads.is_stale(reading)):
                processes.append(task.process)
                continue
            if raw != task.raw:
                task.raw = raw
                self._advance(task)
            if self._refresh(task, waits):
                processes.append(task.process)
            else:
                ended.append(task)
        return processes, ended

    def _read_task(self, task: _Task) -> bytes | None:
        try:
            return task.file.read()
        except ProcessLookupError:
            return None
        except PermissionError:
            return self._deny(task)

    def _adopt(self, name: str, mono_ns: int) -> _Task | None:
        """Start to follow a process, None when it is gone already."""
        pid = int(name)
        described = self._identities.describe(pid)
        if described is None or self._budget is None:
            return None
        task = _Task(pid, TaskFile(f"{self._proc}{name}/io", self._budget), described.start_ns)
        try:
            task.raw = task.file.read()
        except PermissionError:
            task.raw = self._deny(task)
        except ProcessLookupError:
            return None
        is_young = mono_ns - described.start_ns < _YOUNG_NS
        task.checked = self._reading
        # Between fork and exec it still bears its parent's name.
        task.due = self._reading + (1 if is_young else _RECHECK_IDLE + pid % _RECHECK_IDLE)
        task.threads = self._thread_reader(pid)
        self._advance(task)
        task.process = self._build(task, described)
        self._tasks[name] = task
        return task

    def _refresh(self, task: _Task, waits: Delays | None) -> bool:
        """Make the process anew; False when its number belongs to another one now."""
        task.delays = waits
        described: Described | None = None
        age = self._reading - task.checked
        if self._reading >= task.due or age >= _RECHECK_BUSY or not task.file.is_kept:
            described = self._identities.describe(task.pid)
            if described is not None and described.start_ns != task.start_ns:
                return False
            task.checked = self._reading
            task.due = self._reading + _RECHECK_IDLE + task.pid % _RECHECK_IDLE
        process = self._build(task, described)
        if process != task.process:
            task.process = process
        return True

    def _advance(self, task: _Task) -> None:
        """Take in a changed io file."""
        counters = parse_io(task.raw) if task.is_readable else None
        if counters is None:
            task.io = None
        elif task.io is None:
            task.io = OwnIo(f"{self._proc}{task.pid}", counters)
        else:
            task.io.advance(counters, lambda: parse_io(self._read_task(task) or b""))

    def _build(self, task: _Task, described: Described | None) -> Process:
        who = described or task.process
        own = None if task.io is None else task.io.own
        threads: tuple[Thread, ...] = ()
        if task.threads is not None:
            reader = self._delay_reader if self._is_counting else None
            is_complete = task.start_ns >= self._accounted_from_ns
            threads = task.threads.read(self._reading, reader, is_complete=is_complete)
        return Process(
            key=process_key(task.pid, task.start_ns),
            pid=task.pid,
            start_ns=task.start_ns,
            ppid=who.ppid,
            uid=who.uid,
            user=self._users.name(who.uid),
            comm=who.comm,
            command=who.command,
            cgroup=who.cgroup,
            prio=who.prio,
            is_kthread=who.is_kthread,
            is_exited=False,
            totals=totals_of(own, self._known_delays(task)),
            threads=threads,
            container=self._containers.shown(who.cgroup),
        )

    def _deny(self, task: _Task) -> bytes:
        """Go on without counters: the name's file says whether the process is the same one."""
        task.file.close()
        task.is_readable = False
        if self._budget is not None:
            task.file = TaskFile(f"{self._proc}{task.pid}/comm", self._budget)
        try:
            return task.file.read()
        except (ProcessLookupError, PermissionError):
            return b""

    def _end(self, task: _Task) -> Process:
        self._let_go(task)
        del self._tasks[task.name]
        return msgspec.structs.replace(task.process, is_exited=True, threads=())

    def _let_go(self, task: _Task) -> None:
        task.file.close()
        if task.threads is not None:
            task.threads.close()

    def _recheck_orphans(self, ended: list[_Task]) -> None:
        """Children of the ended have another parent now."""
        if not ended:
            return
        gone = {task.pid for task in ended}
        for task in self._tasks.values():
            if task.process.ppid in gone:
                task.due = 0

    def _switch_threads(self) -> None:
        self._with_threads = not self._with_threads
        for task in self._tasks.values():
            if task.threads is not None:
                task.threads.close()
            task.threads = self._thread_reader(task.pid)
            task.raw = b""

    def _thread_reader(self, pid: int) -> ThreadReader | None:
        if not self._with_threads or self._budget is None:
            return None
        return ThreadReader(f"{self._proc}{pid}/task", self._budget)

    def _is_accounted_from_boot(self) -> bool:
        """Say whether delays were counted since boot: before 5.14 always, later by parameter."""
        words = KeptFile(self._root / "proc/cmdline").read().split()
        return b"delayacct" in words or not self._delay_switch.read()

    def _is_counting_delays(self, mono_ns: int) -> bool:
        is_counting = self._has_delays and self._delay_switch.read().strip() != b"0"
        # The first reading that saw it on is the first moment that it is known to count.
        if self._accounted_from_ns and not (is_counting and self._is_counting):
            self._accounted_from_ns = mono_ns
        return is_counting

    def _process_delays(self) -> dict[int, Delays]:
        if self._delay_reader is None:
            return {}
        return self._delay_reader.of_processes([task.pid for task in self._tasks.values()])

    def _known_delays(self, task: _Task) -> Delays | None:
        return known(task.delays, is_complete=task.start_ns >= self._accounted_from_ns)

    def _all_notes(self) -> tuple[str, ...]:
        notes = [*self._notes, NOTE_SHORT]
        if any(not task.is_readable for task in self._tasks.values()):
            notes.append(NOTE_PROTECTED if self._is_capable else NOTE_DENIED)
        if not self._is_counting:
            notes.append(self._delays_problem or NOTE_DELAYS)
        elif self._accounted_from_ns:
            notes.append(NOTE_DELAYS_YOUNG)
        return tuple(notes)
