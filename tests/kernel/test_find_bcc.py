"""The distribution's BCC is loaded from an interpreter that does not see its packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

PROGRAM = """
import sys
from iotop_ng.sources.bcc_module import find_bcc
module = find_bcc()
print(module.BPF.__name__, module.__file__, sum("dist-packages" in entry for entry in sys.path))
"""


def test_bcc_is_found_and_nothing_else_comes_with_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    # -S: not even this environment's own packages.
    output = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
    ).stdout.split()

    assert output[0] == "BPF"
    assert Path(output[1]).parent.name == "bcc"
    assert output[2] == "0"
