"""Every error that a user can see, each with its exit code.

IotopError
├── UsageError          2  wrong option, column, theme, configuration
├── NotPermittedError   3  a capability is missing; the message names it
├── TargetError         4  the process or cgroup is gone or protected
├── EnforcerError       1  a limit could not be set, kept or taken back
└── SourceError         1  a data source cannot be opened or read; says what to do
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class IotopError(Exception):
    """Base of our errors. The message is one line for a person, without a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(IotopError):
    """The command line or a configuration file asks for something that does not exist."""

    exit_code = 2


class NotPermittedError(IotopError):
    """The kernel said no. The message names the missing capability."""

    exit_code = 3


class TargetError(IotopError):
    """The target of an action is gone, reused or protected."""

    exit_code = 4


class EnforcerError(IotopError):
    """A mechanism could not do what was asked. The message names the step and the kernel's word."""


class SourceError(IotopError):
    """A source cannot work here.

    Attributes:
        remedy: the one command that mends it, or "" where there is none.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for a word that is close to an allowed one, else ""."""
    near = difflib.get_close_matches(word[:64].lower(), list(allowed), 1, 0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
