"""Colour, metric depth and instance masks of a scene, without a window (EGL or OSMesa)."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import SimulationError
from gem_ros.sim.scene import BACKGROUND_ID, BUFFER, Scene, build

BACKENDS = ("egl", "osmesa")


@dataclass(frozen=True, eq=False)
class Frame:
    """``rgb`` (H, W, 3) uint8; ``depth`` (H, W) float32 m, inf for the sky; ``instances`` (H, W) uint8:
    the object's index in the scene, or an id of :data:`gem_ros.sim.scene.BACKGROUND_ID`."""

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    instances: npt.NDArray[np.uint8]


class Renderer:
    """Renders scenes at one size; raises :class:`SimulationError` where MuJoCo has no way to render."""

    def __init__(self, width: int, height: int, shadow_size: int = 1024, samples: int = 0) -> None:
        try:
            import mujoco
        except ImportError as error:
            raise SimulationError(
                f"simulation: expected MuJoCo, got {error}; install it with: pip install 'gem_ros[sim]'"
            ) from error
        self._mujoco = mujoco
        self._gl = _offscreen_context()
        self._gl.make_current()
        self.width, self.height = width, height
        self._quality = (shadow_size, samples)
        self._context: Any = None

    def close(self) -> None:
        if self._context is not None:
            self._context.free()
            self._context = None
        self._gl.free()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def intrinsics(self, scene: Scene) -> CameraIntrinsics:
        """The pinhole camera that :meth:`render` uses."""
        focal = 0.5 * self.height / np.tan(np.radians(scene.fovy) / 2)
        return CameraIntrinsics(self.width, self.height, focal, focal, (self.width - 1) / 2, (self.height - 1) / 2)

    def load(self, scene: Scene) -> None:
        """Compile ``scene``; :meth:`render` then shows it."""
        mujoco = self._mujoco
        if self._context is not None:
            self._context.free()
        self._model = build(scene, *self._quality)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(self._model, maxgeom=500)
        self._labels = self._geom_labels(scene)

    def _geom_labels(self, scene: Scene) -> npt.NDArray[np.uint8]:
        """(number of geoms,) object index or background id of every geom."""
        labels = np.empty(self._model.ngeom, np.uint8)
        for geom in range(self._model.ngeom):
            owner, _, name = self._model.geom(geom).name.partition(":")
            is_object = owner.startswith("object")
            labels[geom] = int(owner[len("object") :]) if is_object else BACKGROUND_ID[name]
        return labels

    def render(self, T_world_camera: npt.NDArray[np.float64]) -> Frame:
        """The loaded scene from a camera optical frame (4×4)."""
        mujoco = self._mujoco
        camera = self._model.camera("camera").id
        self._data.cam_xpos[camera] = T_world_camera[:3, 3]
        # MuJoCo's camera looks along -z with y up.
        self._data.cam_xmat[camera] = (T_world_camera[:3, :3] * [1.0, -1.0, -1.0]).ravel()
        view = mujoco.MjvCamera()
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, self._data, mujoco.MjvOption(), None, view, everything, self._scene)
        rgb, _ = self._draw()
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 1
        colour_ids, z = self._draw()
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 0
        return Frame(rgb, self._metric(z), self._instances(colour_ids))

    def _draw(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        mujoco = self._mujoco
        rect = mujoco.MjrRect(0, 0, self.width, self.height)
        rgb = np.empty((self.height, self.width, 3), np.uint8)
        depth = np.empty((self.height, self.width), np.float32)
        mujoco.mjr_render(rect, self._scene, self._context)
        mujoco.mjr_readPixels(rgb, depth, rect, self._context)
        return np.ascontiguousarray(rgb[::-1]), np.ascontiguousarray(depth[::-1])

    def _metric(self, z: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Invert the reversed z-buffer: z = near (far - d) / (d (far - near)), 0 at the far plane."""
        extent = self._model.stat.extent
        near, far = self._model.vis.map.znear * extent, self._model.vis.map.zfar * extent
        metres = near * far / (z.astype(np.float64) * (far - near) + near)
        return np.where(z <= 0.0, np.inf, metres).astype(np.float32)

    def _instances(self, colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        wide = colours.astype(np.int32)
        segment = wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16
        table = np.full(self._scene.ngeom + 1, BACKGROUND_ID["sky"], np.uint8)
        geom_type = self._mujoco.mjtObj.mjOBJ_GEOM
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == geom_type:
                table[geom.segid + 1] = self._labels[geom.objid]
        return np.asarray(table[np.clip(segment, 0, self._scene.ngeom)])


def _offscreen_context() -> Any:
    """A GL context without a window: EGL, else OSMesa; ``MUJOCO_GL`` names the only one to try."""
    failures = []
    for name in (os.environ.get("MUJOCO_GL"),) if os.environ.get("MUJOCO_GL") in BACKENDS else BACKENDS:
        try:
            return importlib.import_module(f"mujoco.{name}").GLContext(*BUFFER)
        except Exception as error:  # each backend fails in its own way: ImportError, RuntimeError, AttributeError
            failures.append(f"{name}: {error}")
    raise SimulationError(
        f"simulation: expected EGL or OSMesa to render with, got {'; '.join(failures)}; "
        "on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri"
    )
