"""The journal and the undoing of what is in it, together."""

from __future__ import annotations

from collections.abc import Callable, Container

from iotop_ng.enforcers.changes import Change, Helper
from iotop_ng.enforcers.journal import Intent, Journal
from iotop_ng.enforcers.outcome import Outcome
from iotop_ng.enforcers.sentences import said
from iotop_ng.errors import EnforcerError

Undo = Callable[[Change], Outcome]
"""Puts one change back: `iotop_ng.enforcers.restore.restore`, or a fake world's."""


class Undoing:
    """Notes changes and puts them back, newest first; one failure never stops the rest."""

    def __init__(self, journal: Journal, undo: Undo) -> None:
        self._journal = journal
        self._undo = undo

    @property
    def last_policy(self) -> int:
        """The highest number of a policy that has left something to be undone."""
        return max((one.policy for one in self._journal.entries()), default=0)

    def helpers(self) -> tuple[int, ...]:
        """Return the pids of our helpers."""
        changes = (one.change for one in self._journal.entries())
        return tuple(change.pid for change in changes if isinstance(change, Helper))

    def note(self, policy: int, change: Change, others: Container[int]) -> None:
        """Write to the journal, unless the place is another policy's.

        Args:
            policy: number of the one that acts.
            change: what will be done.
            others: numbers of the policies in force.

        Raises:
            EnforcerError: it is, or the journal cannot be written.
        """
        holder = self._journal.holder(change)
        if holder is not None and holder.policy != policy and holder.policy in others:
            raise EnforcerError(
                f"policy {holder.policy} has set the same value: change or release that one"
            )
        self._journal.note(policy, change)

    def undo_policy(self, policy: int) -> tuple[str, ...]:
        """Undo what one policy did; return what could not be."""
        return _problems(self._undo_these(self._journal.of(policy)))

    def undo_all(self) -> tuple[str, ...]:
        """Undo everything in the journal; return what was done and what could not be."""
        outcomes = self._undo_these(self._journal.entries())
        return tuple(
            outcome.problem or outcome.text for outcome in outcomes if outcome[1:] != ("", "")
        )

    def _undo_these(self, intents: tuple[Intent, ...]) -> list[Outcome]:
        return [self._undo_one(one) for one in reversed(intents)]

    def _undo_one(self, intent: Intent) -> Outcome:
        try:
            outcome = self._undo(intent.change)
        except Exception as error:  # noqa: BLE001 - the others are undone all the same
            return Outcome(is_settled=False, problem=said(error))
        if outcome.is_settled:
            self._journal.settle(intent.seq)
        return outcome


def _problems(outcomes: list[Outcome]) -> tuple[str, ...]:
    return tuple(outcome.problem for outcome in outcomes if outcome.problem)
