"""What a process uses of this machine, by /proc and nvidia-smi."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
import time
from pathlib import Path

MIB = 2**20
TICKS = os.sysconf("SC_CLK_TCK")


class Usage:
    """CPU time and memory of the process ``pid`` from now on; :meth:`look` often enough to see memory rise."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin, self._cpu = time.monotonic(), _cpu_seconds(pid)
        self._memory = 0

    def look(self) -> None:
        """Note how much memory it holds."""
        with contextlib.suppress(OSError):  # it has ended, which others will say
            pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            self._memory = max(self._memory, pages * os.sysconf("SC_PAGE_SIZE"))

    def values(self) -> dict[str, float]:
        """``cpu_percent`` of one core since the beginning, ``memory_mb`` (MiB) at most; of a GPU where it uses one."""
        self.look()
        seconds = time.monotonic() - self._begin
        used = {
            "cpu_percent": 100 * (_cpu_seconds(self._pid) - self._cpu) / seconds,
            "memory_mb": self._memory / MIB,
        }
        gpu = _gpu_memory(self._pid)
        return used if gpu is None else {**used, "gpu_memory_mb": gpu}


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads, s; NaN where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / TICKS


def _gpu_memory(pid: int) -> float | None:
    """MiB on all GPUs, as the driver counts them; None where it does not know the process."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    question = [tool, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    done = subprocess.run(question, capture_output=True, text=True, check=False, timeout=10)
    lines = [line.split(",") for line in done.stdout.splitlines() if "," in line]
    used = [float(memory) for owner, memory in lines if int(owner) == pid and memory.strip().isdigit()]
    return sum(used) if used else None
