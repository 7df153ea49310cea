"""Say what you are looking for; the robot gets where it is, in 3D.

Names are loaded when they are first used, so that ``import gem_ros`` costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gem_ros.data import CameraIntrinsics, Grounding, Observation, Query, Target
    from gem_ros.errors import GemError
    from gem_ros.pipeline import Grounder

__version__ = "0.5.2"
__all__ = [
    "CameraIntrinsics",
    "GemError",
    "Grounder",
    "Grounding",
    "Observation",
    "Query",
    "Target",
    "__version__",
]
_HOMES = {
    "CameraIntrinsics": "data",
    "GemError": "errors",
    "Grounder": "pipeline",
    "Grounding": "data",
    "Observation": "data",
    "Query": "data",
    "Target": "data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gem_ros' has no attribute {name!r}")
    return getattr(import_module(f"gem_ros.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
