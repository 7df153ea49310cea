"""CPU time and memory of another process, as Linux tells them."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")  # per s


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used so far, all its threads, s."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK  # utime and stime


def memory(pid: int, *, peak: bool = False) -> float:
    """Memory that the process holds, or has held at most, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
