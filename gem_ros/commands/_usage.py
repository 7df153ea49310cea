"""What a process uses of this machine, by /proc and nvidia-smi."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time

from gem_ros.process import cpu_seconds, memory


class Usage:
    """CPU time and memory of the process ``pid`` from now on; :meth:`look` often enough to see memory rise."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin, self._cpu = time.monotonic(), cpu_seconds(pid)
        self._used, self._memory = 0.0, 0.0

    def look(self) -> None:
        """Note what it has used so far."""
        with contextlib.suppress(OSError):  # it has ended, which others will say
            self._used = cpu_seconds(self._pid) - self._cpu
            self._memory = max(self._memory, memory(self._pid))

    def values(self) -> dict[str, float]:
        """``cpu_percent`` of one core since the beginning, ``memory_mb`` (MiB) at most; of a GPU where it uses one."""
        self.look()
        seconds = time.monotonic() - self._begin
        used = {
            "cpu_percent": 100 * self._used / seconds,
            "memory_mb": self._memory,
        }
        gpu = _gpu_memory(self._pid)
        return used if gpu is None else {**used, "gpu_memory_mb": gpu}


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
