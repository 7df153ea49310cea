"""What this process asks of the machine, and what any process uses of it; Linux."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")  # per s
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST, KEPT = 32 << 20, 256 << 20  # bytes: glibc's limit for the one, a few dozen images for the other


def share_cores() -> None:
    """Let PyTorch's threads sleep where they wait for each other; call it before PyTorch is loaded.

    By default OpenMP's threads spin. Where others want the cores, too, as on every robot, that takes several times
    as long. Nothing where the user has chosen.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_freed_memory() -> None:
    """Let malloc keep what is freed: each image needs such buffers again, and new pages cost more than copying."""
    with contextlib.suppress(OSError, AttributeError):  # another libc than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)


def give_back_memory() -> None:
    """Give the system what is free in malloc's heaps, a few milliseconds: else each gap that a large buffer did not
    fit into would stay, and a process that runs for days would grow with every worst moment of it.
    """
    with contextlib.suppress(OSError, AttributeError):  # another libc than glibc
        ctypes.CDLL(None).malloc_trim(0)


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used so far, all its threads, s; OSError where it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK  # utime and stime


def memory(pid: int, *, peak: bool = False) -> float:
    """Memory that the process holds, or has held at most, MiB; OSError where it has ended."""
    return _status(pid, "VmHWM" if peak else "VmRSS") / 1024


def own_memory(pid: int) -> float:
    """The part of :func:`memory` that the process has written itself, without files and shared memory, MiB."""
    return _status(pid, "RssAnon") / 1024


def threads(pid: int) -> int:
    """Threads of the process; OSError where it has ended."""
    return _status(pid, "Threads")


def open_files(pid: int) -> int:
    """File descriptors that the process has open; OSError where it has ended."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _status(pid: int, name: str) -> int:
    """A number of the process's status, memory in kB; 0 where the kernel does not say."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0
