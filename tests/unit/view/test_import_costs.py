"""Who only looks never pays for what acts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_screen_opens_without_dialogs_and_enforcers() -> None:
    loaded = loaded_by("import iotop_ng.view.app")

    acting = ("iotop_ng.enforcers", "iotop_ng.control", "iotop_ng.policy", "iotop_ng.view.acting")
    assert "iotop_ng.view.screens.main" in loaded
    assert [name for name in loaded if name.startswith(acting)] == []
    assert loaded.isdisjoint({"iotop_ng.view.screens.acts", "iotop_ng.view.screens.dialog"})


def test_the_check_sees_them() -> None:
    """The test above can fail."""
    loaded = loaded_by("import iotop_ng.view.screens.throttle")
    assert {"iotop_ng.view.screens.dialog", "iotop_ng.enforcers.orders"} <= loaded
