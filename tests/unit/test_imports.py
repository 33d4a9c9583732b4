"""Importing the command line stays cheap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = {"asyncio", "bcc", "numpy", "plotext", "psutil", "rich", "textual"}


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules, and ours in full, that a fresh interpreter has loaded."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    names = set(done.stdout.split())
    return {name for name in names if "." not in name or name.startswith("iotop_ng.")}


def test_the_command_line_imports_nothing_heavy() -> None:
    """--version, --help, batch output and doctor do not pay for the screen or for BCC."""
    loaded = modules_after("import iotop_ng.cli.main")

    assert "iotop_ng.cli.main" in loaded
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("iotop_ng.view")} == set()


def test_the_check_sees_heavy_modules() -> None:
    """The test above can fail."""
    loaded = modules_after("import textual.app")

    assert {"asyncio", "rich", "textual"} <= loaded


def test_ctrl_c_while_modules_are_read_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")

    done = subprocess.run(
        [sys.executable, "-m", "iotop_ng", "--version"],
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
