"""Put back what is not wanted any more, or what a dead keeper left behind."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.clock import SystemClock
from iotop_ng.enforcers import processes
from iotop_ng.enforcers.audit import audit_log
from iotop_ng.enforcers.changes import Change
from iotop_ng.enforcers.chronicle import Chronicle
from iotop_ng.enforcers.journal import Journal
from iotop_ng.enforcers.restore import restore
from iotop_ng.enforcers.run_dir import RunDir, take_lock
from iotop_ng.enforcers.undoing import Undo, Undoing

DYING_S = 2.0
"""A keeper that was killed lets go of the lock when the kernel has taken it down."""


def put_back(change: Change) -> str:
    """Undo one change where it is still ours; return "" when done, else why not. Never raises."""
    return restore(change).problem


def recover(path: Path, undo: Undo = restore, wait_s: float = DYING_S) -> tuple[str, ...]:
    """Put back everything that the journal of a dead keeper names.

    Where another process has the lock, a living keeper looks after the journal: it did the same
    when it began, so nothing is done here.

    Args:
        path: the run directory.
        undo: puts one change back.
        wait_s: how long to wait for a keeper that is dying.

    Returns:
        One sentence for each thing that was put back, or could not be.

    Raises:
        EnforcerError: the journal cannot be read or written.
        NotPermittedError: we are not root.
    """
    place = RunDir(path)
    if not place.path.exists():
        return ()
    place.make()
    lock = take_lock(place.lock, wait_s, place.socket)
    if lock is None:
        return ()
    try:
        journal = Journal(place.journal, processes.boot_id())
        try:
            said = journal.said + Undoing(journal, undo).undo_all()
        finally:
            journal.close()
        _write_down(said)
        return said
    finally:
        lock.release()


def _write_down(sentences: tuple[str, ...]) -> None:
    """Put into the audit log what no keeper can put there."""
    if not sentences:
        return
    audit = audit_log()
    chronicle = Chronicle(SystemClock(), audit)
    for sentence in sentences:
        chronicle.recovered(sentence)
    audit.close()
