"""What the keeper asks of targets: to be found, held on to, and judged."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from iotop_ng.enforcers.enforcer import Pinned
from iotop_ng.policy.actions import Target


class Own(NamedTuple):
    """Whose processes are part of iotop-ng now."""

    helpers: tuple[int, ...]
    """Holders; what they started is ours as well, as what the keeper itself started."""
    clients: tuple[int, ...]
    """Connected ones. They and their ancestors are protected, not what they started: a workload
    may have been started from a program that acts on it."""


class Pinner(Protocol):
    """Finds targets."""

    def pin(self, target: Target) -> Pinned:
        """Find it and hold on to it.

        Raises:
            TargetError: gone, another one by now, or nothing that can be acted on.
        """
        ...

    def unpin(self, pinned: Pinned) -> None:
        """Let go of it; twice is fine."""
        ...

    def why_untouchable(self, pinned: Pinned, own: Own) -> str:
        """Return why nobody may touch it, looked at now; "" when it may be touched.

        Raises:
            IotopError: it cannot be said.
        """
        ...
