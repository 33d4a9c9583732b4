"""All mechanisms of this installation, each loaded when it is first asked."""

from __future__ import annotations

import contextlib
import importlib
from typing import cast

from iotop_ng.enforcers.enforcer import Effect, Enforcer, Note, Pinned
from iotop_ng.enforcers.orders import Mechanism, Order, Rung
from iotop_ng.errors import EnforcerError

_PACKAGE = "iotop_ng.enforcers"
_CLASSES = {
    Mechanism.HOLD: ("hold", "HoldEnforcer"),
    Mechanism.IO_MAX: ("io_max", "IoMaxEnforcer"),
    Mechanism.PAUSE: ("pause", "PauseEnforcer"),
    Mechanism.DROP: ("drop", "DropEnforcer"),
    Mechanism.IONICE: ("ionice", "IoniceEnforcer"),
}


class LateEnforcer:
    """A mechanism whose module is read when it is first needed.

    The keeper is ready sooner without BPF and systemd, and a mechanism that cannot be loaded on
    this machine is a rung that does not work, not a keeper that does not start.
    """

    def __init__(self, mechanism: Mechanism, module: str, name: str) -> None:
        self._mechanism = mechanism
        self._module = module
        self._name = name
        self._loaded: Enforcer | None = None

    @property
    def mechanism(self) -> Mechanism:
        """Its name."""
        return self._mechanism

    def rung(self, pinned: Pinned, order: Order) -> Rung:
        """Ask it; where it cannot be loaded, say why."""
        try:
            return self._load().rung(pinned, order)
        except ImportError as error:
            return Rung(self._mechanism, works=False, why=f"it cannot be loaded: {error}", does="")

    def apply(self, pinned: Pinned, order: Order, note: Note) -> Effect:
        """Let it act.

        Raises:
            EnforcerError: it cannot be loaded, or as it says.
            TargetError: the target is gone.
            NotPermittedError: a capability is missing.
        """
        try:
            loaded = self._load()
        except ImportError as error:
            raise EnforcerError(f"{self._mechanism.value} cannot be loaded: {error}") from error
        return loaded.apply(pinned, order, note)

    def preload(self) -> None:
        """Read its module now, if it can be read: the first order need not wait for it."""
        with contextlib.suppress(ImportError):
            self._load()

    def _load(self) -> Enforcer:
        if self._loaded is None:
            module = importlib.import_module(f"{_PACKAGE}.{self._module}")
            try:
                made = getattr(module, self._name)()
            except AttributeError as error:
                raise ImportError(str(error)) from error
            # Found by name: mypy sees the class only in the tests that hand it over.
            self._loaded = cast("Enforcer", made)
        return self._loaded


def enforcers() -> dict[Mechanism, LateEnforcer]:
    """Return every mechanism that acts; dry run is the keeper's own."""
    return {
        mechanism: LateEnforcer(mechanism, module, name)
        for mechanism, (module, name) in _CLASSES.items()
    }
