"""A client that is killed: it applies, adjusts and releases in a loop, in a process of its own.

python -m tests.kernel.driver MECHANISM RATE PID...
"""

from __future__ import annotations

import sys
from contextlib import closing

from iotop_ng.enforcers.client import KeeperClient, this_author
from iotop_ng.enforcers.orders import Kind, Mechanism, Order
from iotop_ng.errors import IotopError
from iotop_ng.policy.actions import MANUAL_LEASE_NS, Reason
from tests.kernel.hogs import process_target

WHY = Reason("", "test")
KINDS = {Mechanism.DROP: Kind.DROP, Mechanism.IONICE: Kind.IONICE}


def order(pid: int, mechanism: Mechanism | None, rate: int, **changed: bool) -> Order:
    """Return an order as the screen would make it."""
    kind = KINDS.get(mechanism, Kind.THROTTLE) if mechanism else Kind.THROTTLE
    return Order(
        kind,
        process_target(pid),
        WHY,
        rate_bytes_per_s=None if kind is Kind.IONICE else rate,
        mechanism=mechanism,
        with_children=changed.get("with_children", True),
    )


def say(word: str) -> None:
    """Tell the test how far it is; a pipe, and whole lines."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def drive(client: KeeperClient, mechanism: Mechanism, rate: int, pids: list[int]) -> None:
    """Do it for ever."""
    while True:
        for pid in pids:
            say("apply")
            policy = client.apply(order(pid, mechanism, rate))
            if mechanism is not Mechanism.IONICE:
                say("adjust")
                client.change(policy.id, WHY, MANUAL_LEASE_NS, rate * 2)
            say("hold")
            client.look(0)
            say("release")
            client.release((policy.id,), WHY)


def main() -> int:
    """Run until it is killed, or the keeper is."""
    mechanism, rate = Mechanism(sys.argv[1]), int(sys.argv[2])
    try:
        with closing(KeeperClient.open(this_author("command"))) as client:
            say("open")
            drive(client, mechanism, rate, [int(word) for word in sys.argv[3:]])
    except IotopError as error:
        say(f"failed: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
