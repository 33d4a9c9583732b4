"""Compile bpf/ with BCC, in a child process that ends: LLVM never enters the monitor.

``python -m iotop_ng.sources.compiler`` reads a request (JSON) from standard input and writes a
cache file's bytes to standard output; its standard error is BCC's.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from iotop_ng.errors import IotopError, SourceError
from iotop_ng.sources.bcc_module import find_bcc
from iotop_ng.sources.bpf_syscall import INODE_STORAGE, NO_PREALLOC
from iotop_ng.sources.btf import Btf
from iotop_ng.sources.compiled import Compiled, MapDef, decode, encode
from iotop_ng.sources.layout import read_layout
from iotop_ng.sources.plan import MARKS_FD, Layout, Plan, make_plan
from iotop_ng.sources.plan_acting import make_drop_plan, make_hold_plan

TIMEOUT_S = 120
MAIN = "iotop.c"
_INCLUDE = re.compile(r'\s*#\s*include\s+"([\w.]+)"')

# All that BCC asks of a kernel source tree; its own copies of bpf.h come with it. The list is the
# same in BCC 0.16 to 0.37.
_TYPES = """\
#ifndef IOTOP_STUB_TYPES_H
#define IOTOP_STUB_TYPES_H
typedef signed char __s8, s8;
typedef unsigned char __u8, u8;
typedef short __s16, s16;
typedef unsigned short __u16, u16, __be16, __le16, __sum16, umode_t;
typedef int __s32, s32, pid_t;
typedef unsigned int __u32, u32, __be32, __le32, __wsum, dev_t, uid_t, gid_t;
typedef long long __s64, s64, loff_t;
typedef unsigned long long __u64, u64, __be64, __le64;
typedef __u64 __aligned_u64 __attribute__((aligned(8)));
typedef _Bool bool;
typedef unsigned long size_t, uintptr_t, ino_t, sector_t;
typedef long ssize_t, intptr_t;
#endif
"""
_STUBS = {
    "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
    "linux/version.h": "#define LINUX_VERSION_CODE 0\n#define KERNEL_VERSION(a, b, c) "
    "(((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n",
    "linux/types.h": _TYPES,
    "linux/bpf_common.h": "",
    "linux/log2.h": "",
    "asm/page.h": f"#define PAGE_SIZE {os.sysconf('SC_PAGESIZE')}\n",
    "uapi/linux/bpf.h": "",
    "uapi/linux/if_packet.h": "",
    "uapi/linux/ptrace.h": "struct pt_regs;\n",
}


# libbcc functions that BCC's own bindings leave undeclared, in one release or another.
_BY_INDEX = (
    "bpf_table_name",
    "bpf_table_type_id",
    "bpf_table_key_size_id",
    "bpf_table_leaf_size_id",
    "bpf_table_max_entries_id",
    "bpf_table_flags_id",
    "bpf_table_fd_id",
)


PLANS: Mapping[str, Callable[[Layout], Plan]] = {
    "count": make_plan,
    "hold": make_hold_plan,
    "drop": make_drop_plan,
}
"""What can be compiled; the texts are bpf/iotop.c, bpf/hold.c and bpf/drop.c."""


class Request(msgspec.Struct):
    """What the child is asked to compile."""

    source: str
    """bpf/ as one text."""
    release: str
    """As `uname -r` says."""
    tracefs: str | None
    use_btf: bool
    job: str = "count"
    """Which plan: count, hold or drop."""


def write_stubs(root: Path) -> None:
    """Write the tree that BCC takes for kernel headers."""
    for name, text in _STUBS.items():
        path = root / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def amalgamate(source_dir: Path, name: str = MAIN) -> str:
    """Return bpf/ as one text: each `#include "file"` of ours replaced by that file.

    BCC makes programs and map calls only of what stands in the main file.
    """
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate((source_dir / name).read_text("utf-8").splitlines(), 1):
        included = _INCLUDE.match(line)
        if included and (source_dir / included.group(1)).is_file():
            lines += [amalgamate(source_dir, included.group(1)), f'#line {number + 1} "{name}"']
        else:
            lines.append(line)
    return "\n".join(lines)


def compile_apart(request: Request) -> Compiled:
    """Compile in a child process and return the result.

    Raises:
        SourceError: with the compiler's first error.
    """
    child = subprocess.run(
        [sys.executable, "-m", "iotop_ng.sources.compiler"],
        input=msgspec.json.encode(request),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
        # BCC changes directory while it compiles; and the package may not be installed.
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    compiled = decode(child.stdout) if child.returncode == 0 else None
    if compiled is None:
        raise SourceError(f"BPF programs cannot be compiled: {_first_error(child.stderr)}")
    return compiled


def _first_error(raw: bytes) -> str:
    lines = raw.decode("utf-8", "replace").strip().splitlines() or ["no message"]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines[-1:])[0].strip()[:200]


def _dump(bpf: Any, lib: Any, plan: Plan) -> Compiled:
    """Take maps and instructions out of a compiled BCC module."""
    for name in _BY_INDEX:
        getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_num_tables.argtypes = [ctypes.c_void_p]
    maps = tuple(
        MapDef(
            name=lib.bpf_table_name(bpf.module, index).decode(),
            kind=lib.bpf_table_type_id(bpf.module, index),
            key_size=lib.bpf_table_key_size_id(bpf.module, index),
            value_size=lib.bpf_table_leaf_size_id(bpf.module, index),
            max_entries=lib.bpf_table_max_entries_id(bpf.module, index),
            flags=lib.bpf_table_flags_id(bpf.module, index),
            fd=lib.bpf_table_fd_id(bpf.module, index),
        )
        for index in range(lib.bpf_num_tables(bpf.module))
    )
    if plan.has_marks:
        maps += (MapDef("marks", INODE_STORAGE, 4, 16, 0, NO_PREALLOC, MARKS_FD),)
    code = {program.name: bytes(bpf.dump_func(program.name)) for program in plan.programs}
    return Compiled(plan, maps, code)


def plan_here(request: Request) -> Plan:
    """Read this kernel's layout and decide what to compile.

    Raises:
        SourceError: when nothing can run here.
    """
    btf = Btf.running() if request.use_btf else None
    tracefs = Path(request.tracefs) if request.tracefs else None
    plan = PLANS[request.job](read_layout(btf, request.release, tracefs))
    if not plan.programs:
        raise SourceError("; ".join(plan.gaps))
    return plan


def compile_here(request: Request) -> Compiled:
    """Compile in this process; it will hold LLVM from then on.

    Raises:
        SourceError: when nothing can run here or BCC is missing.
    """
    plan = plan_here(request)
    with tempfile.TemporaryDirectory(prefix="iotop-ng-") as stubs:
        if plan.has_btf:
            write_stubs(Path(stubs))
            # Read by libbcc when it is loaded, so before the import.
            os.environ["BCC_KERNEL_SOURCE"] = stubs
        bcc = find_bcc()
        module = bcc.BPF(text=request.source.encode(), cflags=list(plan.defines))
        return _dump(module, bcc.lib, plan)


def main() -> int:
    """Serve one request; 0 with the record on stdout, 1 with one line on stderr."""
    # stdout carries the record; anything that LLVM prints belongs to stderr.
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
        compiled = compile_here(request)
    except (IotopError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Exception as error:  # noqa: BLE001 - BCC raises bare Exception for a failed compilation
        sys.stderr.write(f"error: {error}\n")
        return 1
    with os.fdopen(out, "wb") as file:
        file.write(encode(compiled))
    return 0


if __name__ == "__main__":
    sys.exit(main())
