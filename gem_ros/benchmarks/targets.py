"""What this project promises of its speed, and where each promise holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gem_ros.benchmarks.results import Results

VIT = "ViT-B-16"


@dataclass(frozen=True)
class Target:
    """``name`` is at most (at least, where ``least``) ``bound``, on ``device`` with a model so named; empty: any."""

    name: str
    bound: float
    least: bool = False
    device: str = ""
    model: str = ""

    def holds_for(self, results: Results) -> bool:
        """Whether the promise was given for such a machine and model."""
        settings = results.settings
        return settings.get("device", "").startswith(self.device) and settings.get("model", "").startswith(self.model)

    def met(self, value: float) -> bool:
        """Whether ``value`` keeps the promise."""
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g}"


TARGETS = (
    Target("model.speedup.fp32", 1.2, least=True, device="cpu", model=VIT),
    Target("model.speedup.fp32", 10, least=True, device="cuda", model=VIT),
    Target("model.speedup.half", 5, least=True, device="cuda", model=VIT),
    Target("model.latency.p50", 2, device="cuda", model=VIT),
    Target("model.latency.p99", 3, device="cuda", model=VIT),
    Target("model.throughput.32", 1200, least=True, device="cuda", model=VIT),
    Target("model.agreement.cosine", 0.999, least=True),
    Target("model.agreement.argmax", 99, least=True),
    Target("queries.ratio.64", 1.15, model=VIT),
    Target("queries.new.share", 3, model=VIT),
    Target("ros.overhead.p50", 4),
    Target("ros.cpu", 15),
    Target("ros.ratio", 1),  # whatever the machine, nothing written plainly with rclpy costs less
    Target("ros.ratio.cpu", 1),
    Target("age.p99", 87.5),  # 1.5 times the stub's 50 ms and one of the camera's 12.5 ms
    Target("node.latency.p50", 8, device="cuda", model=VIT),
    Target("node.demo.rate", 15, least=True, device="cpu", model="bundled"),
    Target("startup.after_imports", 5),
)


def target_of(name: str, results: Results) -> Target | None:
    """The promise about a measurement, where one was given and it was measured."""
    if math.isnan(results.value(name)):
        return None
    return next((each for each in TARGETS if each.name == name and each.holds_for(results)), None)
