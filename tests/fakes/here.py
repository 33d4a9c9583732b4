"""A process of this machine as a target, found without a keeper."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.enforcers.enforcer import Member
from iotop_ng.enforcers.kin import relative
from iotop_ng.errors import TargetError
from iotop_ng.policy.actions import ProcessTarget, Target
from iotop_ng.sample import process_key

PROC = Path("/proc")


class Here:
    """It is identified by pid and start time, as everywhere."""

    def __init__(self, pid: int) -> None:
        found = relative(PROC, pid)
        assert found is not None
        self._who = found
        self.target: Target = ProcessTarget(process_key(pid, found.start_ns), pid, found.start_ns)
        self.name = found.name

    def check(self) -> None:
        if relative(PROC, self._who.pid) != self._who:
            raise TargetError(f"{self.name} has ended")

    def members(self) -> tuple[Member, ...]:
        return (Member(*self._who),)
