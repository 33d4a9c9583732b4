"""A connection to a keeper's real core without a socket and without a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from iotop_ng.enforcers.core import Core
from iotop_ng.enforcers.orders import (
    PROTOCOL,
    Answer,
    Applied,
    Apply,
    AskLadder,
    Author,
    Change,
    Failed,
    Hello,
    InForce,
    Ladder,
    Listing,
    Look,
    Order,
    Release,
    Released,
    Request,
    Rung,
    Welcome,
)
from iotop_ng.errors import (
    EnforcerError,
    IotopError,
    NotPermittedError,
    TargetError,
    UsageError,
)
from iotop_ng.policy.actions import Reason

T = TypeVar("T")
GUARD = Author(client="guard", pid=6000, uid=0, user="root", terminal="/dev/pts/3")
KEEPER_PID = 7000
_ERRORS = {one.exit_code: one for one in (UsageError, NotPermittedError, TargetError)}


class FakeKeeper:
    """One client of a core.

    Args:
        core: asked at each call: another one than at first, or None, is a keeper that has died.
        author: who asks.
        client: its number.

    Attributes:
        asked: every request, in order.
        refuses: makes a call fail when it returns an error for the request.
    """

    def __init__(
        self, core: Callable[[], Core | None], author: Author = GUARD, client: int = 1
    ) -> None:
        self._core = core
        self._first = core()
        self._client = client
        self.asked: list[Request] = []
        self.refuses: Callable[[Request], IotopError | None] = lambda _: None
        self.is_open = True
        self.welcome = Welcome(PROTOCOL, KEEPER_PID)
        self._ask(Hello(PROTOCOL, author), Welcome)

    def fileno(self) -> int:
        return 3 if self.is_open else -1

    def ladder(self, order: Order) -> tuple[Rung, ...]:
        return self._ask(AskLadder(order), Ladder).rungs

    def apply(self, order: Order) -> InForce:
        return self._ask(Apply(order), Applied).policy

    def change(
        self, number: int, reason: Reason, lease_ns: int, rate: int | None = None
    ) -> InForce:
        return self._ask(Change(number, reason, lease_ns, rate), Applied).policy

    def release(self, ids: tuple[int, ...] | None, reason: Reason) -> Released:
        return self._ask(Release(reason, ids), Released)

    def look(self, after_seq: int = 0) -> Listing:
        return self._ask(Look(after_seq), Listing)

    def close(self) -> None:
        core = self._living()
        if core is not None:
            core.gone(self._client)
        self.is_open = False

    def _living(self) -> Core | None:
        core = self._core()
        return core if self.is_open and core is self._first else None

    def _ask(self, request: Request, kind: type[T]) -> T:
        self.asked.append(request)
        core = self._living()
        if core is None:
            self.is_open = False
            raise EnforcerError("the keeper ended; everything was put back")
        if (error := self.refuses(request)) is not None:
            raise error
        answer: Answer = core.handle(self._client, request)
        if isinstance(answer, Failed):
            raise _ERRORS.get(answer.exit_code, EnforcerError)(answer.message)
        assert isinstance(answer, kind)
        return answer
