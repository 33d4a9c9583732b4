"""Run loads on this machine, one after the other, and write down what each sign says meanwhile.

python -m tests.bench.detecting.watch --directory DIR --out FILE [--seconds 8] [--loads a,b]

The default rules of `iotop-ng guard` look at the very same frames, anew in each phase; whom they
would take hold of is written down too. The victim's own log says what a phase was really like.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import threading
import time
from pathlib import Path

from iotop_ng.clock import NS_PER_S, SystemClock
from iotop_ng.control.guard import default_rules
from iotop_ng.control.ruling import TICK_NS
from iotop_ng.policy.actions import Drop, Throttle
from iotop_ng.policy.decide import State, decide, start
from iotop_ng.policy.protect import Protection
from iotop_ng.sample import Need
from iotop_ng.session import Session
from iotop_ng.sources.choose import BestSource
from tests.bench.acting import TRACEFS, disk_of
from tests.bench.detecting.direct import Director, Phase, Scene
from tests.bench.detecting.loads import LOADS, Load
from tests.bench.detecting.metrics import METRICS, OF_CGROUP, rounded, row_of
from tests.bench.detecting.pressure import CgroupPressure, victims_cgroup
from tests.bench.detecting.records import About, Alarm, Sink, Tick
from tests.kernel.disks import leave_mount_namespace, run

_TOP = [metric.name for metric in METRICS].index("top_writer")


class Notes:
    """Takes down what each frame says, and what the rules would do."""

    def __init__(self, director: Director, pressure: CgroupPressure, sink: Sink) -> None:
        self._director, self._pressure, self._sink = director, pressure, sink
        self._rules = default_rules()
        self._phase: Phase | None = None
        self._state = self._fresh()

    def _fresh(self) -> State:
        # Without ourselves among the protected: the loads are our children, and would be too.
        return start(self._rules, Protection())

    def watch(self, session: Session) -> None:
        """Look until the director has done."""
        for frame in session.frames():
            if not frame.tick and frame.notes:
                print(*frame.notes, sep="\n", flush=True)
            phase, waited = self._director.phase, self._pressure.some_pct()
            if phase is not self._phase:
                self._phase, self._state = phase, self._fresh()
            if not frame.tick or phase is None:
                continue
            self._state, actions = decide(self._state, frame)
            if not phase.has(frame.mono_ns, frame.interval_s):
                continue
            at_s = round((frame.mono_ns - phase.began_ns) / NS_PER_S, 3)
            values = (*row_of(frame), rounded(waited))
            self._sink.add(Tick(phase.load.name, phase.round, at_s, values))
            phase.top_mb_per_s.append(values[_TOP] or 0.0)
            for action in actions:
                if isinstance(action, Throttle | Drop):
                    who, why = action.reason.name, action.reason.text
                    self._sink.add(Alarm(phase.load.name, phase.round, at_s, who, why))


def about(machine: str, file_system: str, seconds: float) -> About:
    """Return what these results are of."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    names = (*(metric.name for metric in METRICS), OF_CGROUP.name)
    return About(machine, platform.release(), file_system, memory, seconds, names)


def watch(options: argparse.Namespace, loads: list[Load], sink: Sink) -> None:
    """Run the loads and write down all of it."""
    # What is mounted from here on is so for us alone, and goes when we end.
    leave_mount_namespace()
    if not (TRACEFS / "events").is_dir():
        run("mount", "-t", "tracefs", "tracefs", TRACEFS)
    with (
        tempfile.TemporaryDirectory(prefix="iotop-ng-", dir="/dev/shm") as memory,
        tempfile.TemporaryDirectory(prefix="detect-", dir=options.directory) as directory,
        victims_cgroup() as cgroup,
    ):
        session = Session(BestSource(), SystemClock(), TICK_NS / NS_PER_S, 1)
        session.needs = frozenset({Need.SYSCALLS})
        session.open()
        scene = Scene(Path(directory), disk_of(options.directory), Path(memory), cgroup)
        director = Director(loads, options.rounds, options.seconds, scene, sink)
        notes = Notes(director, CgroupPressure(cgroup), sink)
        timer = threading.Timer(options.deadline, director.stop)
        timer.daemon = True
        timer.start()
        thread = threading.Thread(target=_direct, args=(director, session))
        thread.start()
        try:
            notes.watch(session)
        finally:
            director.stop()
            thread.join()
            timer.cancel()
            session.close()


def _direct(director: Director, session: Session) -> None:
    try:
        director.run()
    finally:
        time.sleep(2 * TICK_NS / NS_PER_S)
        session.request_stop()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--directory", type=Path, required=True, help="on the disk")
    parser.add_argument("--out", type=Path, required=True, help="file of the raw results")
    parser.add_argument("--machine", default="this machine", help="what the page calls it")
    parser.add_argument("--file-system", default="ext4")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--deadline", type=float, default=3600, help="s from which on no other load begins"
    )
    parser.add_argument("--loads", default="", help="names, by commas; without: all")
    options = parser.parse_args()
    wanted = [name for name in options.loads.split(",") if name]
    loads = [load for load in LOADS if not wanted or load.name in wanted]
    first = about(options.machine, options.file_system, options.seconds)
    sink = Sink(options.out, first)
    try:
        watch(options, loads, sink)
    finally:
        sink.close()


if __name__ == "__main__":
    main()
