"""A scene as data, and its MuJoCo model.

World axes: z up, metres. A scene's camera poses are 4×4 ``T_world_camera`` of the camera optical frame
(x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.sim.shapes import SHAPES

Array = npt.NDArray[np.float64]
RGB = tuple[float, float, float]
BACKGROUND_ID = {"floor": 250, "wall": 251, "table top": 252, "sky": 253, "other": 254}
BUFFER = (1280, 960)  # px, width and height of the largest picture that can be rendered


@dataclass(frozen=True)
class SceneObject:
    """One thing: ``position`` (x, y, z) of its foot, ``yaw`` and ``tilt`` in radians, ``size`` in metres."""

    kind: str
    colour: str
    rgb: RGB
    position: tuple[float, float, float]
    size: float
    yaw: float = 0.0
    tilt: float = 0.0
    seed: int = 0
    shininess: float = 0.3

    @property
    def query(self) -> str:
        return f"{self.colour} {self.kind}"


@dataclass(frozen=True, eq=False)
class Surface:
    """A background box: class name, centre, half sizes, colour, texture (h, w, 3) uint8 or None."""

    name: str
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    rgb: RGB
    texture: npt.NDArray[np.uint8] | None = None
    repeat: float = 1.0


@dataclass(frozen=True)
class Light:
    """A lamp at ``position`` shining along ``direction``; ``diffuse`` in [0, 1]."""

    position: tuple[float, float, float]
    direction: tuple[float, float, float]
    diffuse: float
    directional: bool = False
    shadow: bool = True


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects on surfaces under lights; ``ambient`` and ``headlight`` in [0, 1]; sky colours zenith, horizon."""

    objects: tuple[SceneObject, ...]
    surfaces: tuple[Surface, ...]
    lights: tuple[Light, ...]
    ambient: float = 0.3
    headlight: float = 0.2
    sky: tuple[RGB, RGB] = ((0.4, 0.6, 0.9), (0.9, 0.95, 1.0))
    cameras: tuple[Array, ...] = field(default=())
    fovy: float = 45.0


def look_at(eye: Array, target: Array, roll: float = 0.0) -> Array:
    """``T_world_camera`` (4×4) of a camera at ``eye`` whose optical axis passes ``target``."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    pose = np.eye(4)
    pose[:3, 0] = np.cos(roll) * x + np.sin(roll) * y
    pose[:3, 1] = -np.sin(roll) * x + np.cos(roll) * y
    pose[:3, 2], pose[:3, 3] = z, eye
    return pose


def build(scene: Scene, shadow_size: int = 1024, samples: int = 0) -> Any:
    """Compile ``scene`` into a ``mujoco.MjModel``; geom group = object index or a background id."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.visual.global_.offwidth, spec.visual.global_.offheight = BUFFER
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = shadow_size, samples
    spec.visual.headlight.ambient = [scene.ambient] * 3
    spec.visual.headlight.diffuse = [scene.headlight] * 3
    spec.visual.headlight.specular = [0.1] * 3
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 30.0
    spec.stat.extent, spec.stat.center = 1.0, [0.0, 0.0, 0.5]
    sky = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=384)
    sky.builtin, sky.rgb1, sky.rgb2 = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, scene.sky[0], scene.sky[1]
    for index, lamp in enumerate(scene.lights):
        kind = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL if lamp.directional else mujoco.mjtLightType.mjLIGHT_SPOT
        light = spec.worldbody.add_light(name=f"light{index}", pos=lamp.position, dir=lamp.direction)
        light.type, light.castshadow, light.diffuse = kind, lamp.shadow, [lamp.diffuse] * 3
        light.cutoff, light.exponent = 80.0, 1.0
        light.specular, light.ambient = [0.3 * lamp.diffuse] * 3, [0.0] * 3
    for index, surface in enumerate(scene.surfaces):
        _add_surface(spec, index, surface)
    for index, thing in enumerate(scene.objects):
        _add_object(spec, index, thing)
    spec.worldbody.add_camera(name="camera", fovy=scene.fovy)
    return spec.compile()


def _add_surface(spec: Any, index: int, surface: Surface) -> None:
    import mujoco

    material = spec.add_material(name=f"surface{index}", rgba=[*surface.rgb, 1.0], specular=0.1, shininess=0.1)
    if surface.texture is not None:
        height, width, _ = surface.texture.shape
        texture = spec.add_texture(name=f"texture{index}", type=mujoco.mjtTexture.mjTEXTURE_2D)
        texture.width, texture.height, texture.nchannel = width, height, 3
        texture.data = surface.texture.tobytes()
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"texture{index}"
        material.texrepeat, material.texuniform = [surface.repeat] * 2, True
    spec.worldbody.add_geom(
        name=f"surface{index}:{surface.name}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=surface.centre,
        size=surface.half,
        material=f"surface{index}",
        contype=0,
        conaffinity=0,
    )


def _add_object(spec: Any, index: int, thing: SceneObject) -> None:
    import mujoco

    parts = SHAPES[thing.kind](np.random.default_rng(thing.seed))
    body = spec.worldbody.add_body(name=f"object{index}", pos=thing.position)
    half = thing.yaw / 2
    yaw = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
    tilt = np.array([np.cos(thing.tilt / 2), np.sin(thing.tilt / 2), 0.0, 0.0])
    quat = np.zeros(4)
    mujoco.mju_mulQuat(quat, yaw, tilt)
    body.quat = quat
    for number, part in enumerate(parts):
        rgba = [*(min(1.0, part.shade * channel) for channel in thing.rgb), 1.0]
        name = f"object{index}:{number}"
        material = spec.add_material(name=name, rgba=rgba, specular=thing.shininess, shininess=thing.shininess)
        geom = body.add_geom(name=name, contype=0, conaffinity=0, material=material.name)
        geom.pos = thing.size * np.array(part.position)
        if part.vertices is None or part.faces is None:
            geom.type = getattr(mujoco.mjtGeom, f"mjGEOM_{part.geom.upper()}")
            geom.size = (thing.size * np.array([*part.size, 0.0, 0.0]))[:3]
        else:
            mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
            mesh.uservert = (thing.size * part.vertices).astype(np.float32).ravel()
            mesh.userface = part.faces.ravel()
            geom.type, geom.meshname = mujoco.mjtGeom.mjGEOM_MESH, name
