"""What an unattended run needs: its rules from a file that may be trusted, and what to tell."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from iotop_ng import resources
from iotop_ng.errors import SourceError, UsageError
from iotop_ng.model.frame import Frame, PolicyEvent
from iotop_ng.policy import tables
from iotop_ng.policy.rule import Rules
from iotop_ng.policy.rules import parse_rules
from iotop_ng.units import clean

DEFAULT = "rules/default.toml"
"""How messages call the rules that come with iotop-ng."""


def default_text() -> str:
    """Return the rules that come with iotop-ng, as they may be copied and changed.

    Raises:
        SourceError: they are missing from this installation.
    """
    path = resources.directory("rules") / "default.toml"
    try:
        return path.read_text("utf-8")
    except OSError as error:
        problem = f"{clean(str(path), 200)}: cannot be read: {error.strerror}"
        raise SourceError(problem, "reinstall iotop-ng") from None


def default_rules() -> Rules:
    """Return them as rules. Nobody asks who may write the file: it lies beside this program.

    Raises:
        SourceError: they are missing from this installation.
        UsageError: they were changed, and have mistakes.
    """
    return parse_rules(default_text(), DEFAULT)


def read_rules(path: str, *, enforce: bool) -> Rules:
    """Return the rules of a file.

    Args:
        path: of a TOML file.
        enforce: the rules will be carried out with our rights, so nobody else may write them: the
            file has to belong to us or to root, and to be writable by its owner alone.

    Raises:
        UsageError: it cannot be read, others may write it, or it has mistakes, all of them named.
    """
    name = clean(path, 200)
    try:
        # Not waiting: the name may be that of a pipe.
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            raw = file.read(tables.SIZE_LIMIT + 1) if stat.S_ISREG(status.st_mode) else None
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
    if raw is None:
        raise UsageError(f"{name}: not a file")
    if enforce and (why := why_not_trusted(status, os.geteuid())):
        raise UsageError(f"{name}: {why}, so --enforce does not follow it")
    try:
        return parse_rules(raw.decode("utf-8"), path)
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8") from None


def why_not_trusted(status: os.stat_result, euid: int) -> str:
    """Return why a file is not for rules that we carry out with our rights, "" when it is."""
    if status.st_uid not in {0, euid}:
        return "it belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write it (chmod go-w)"
    return ""


class Reporter:
    """Tells each event and each problem once."""

    def __init__(self) -> None:
        self._last_seq = 0
        self._last_own = 0
        self._problem = ""

    def events(self, frame: Frame) -> Iterator[PolicyEvent]:
        """Yield the events that no frame before had."""
        for event in frame.policy_events:
            if event.seq > self._last_seq:
                self._last_seq = event.seq
                yield event
            elif event.seq < self._last_own:
                # What a rule says without doing anything is counted downwards from -1.
                self._last_own = event.seq
                yield event

    def problem(self, frame: Frame) -> str:
        """Return what went wrong, when it is new; else ""."""
        is_new = frame.policy_problem != self._problem
        self._problem = frame.policy_problem
        return self._problem if is_new else ""


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
