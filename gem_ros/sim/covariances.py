"""How far 3D points are off, and whether their covariances say so.

``python -m gem_ros.sim.covariances`` prints a table for the sample recording and for random scenes that no
constant was chosen on, with clean depth and with a sensor's noise, with the model's peaks and, as a control,
with the middles of the true masks. What a covariance is held against is the component-wise median of an
object's visible points; a 3D error is the distance to the nearest of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from gem_ros.data import CameraIntrinsics, PatchFeatures, Query
from gem_ros.geometry.camera import back_project, project
from gem_ros.geometry.surface import depth_noise
from gem_ros.geometry.target import CHI_SQUARE_95, Measurement, Region, measure
from gem_ros.models import BUNDLED
from gem_ros.pipeline import Grounder
from gem_ros.replay.metrics import pointing_hit, surface_error
from gem_ros.replay.observations import read_observations
from gem_ros.replay.truth import load_truth
from gem_ros.sim.held_out import HEIGHT, MIN_VISIBLE, WIDTH
from gem_ros.sim.random_scene import random_scene
from gem_ros.sim.render import Renderer

SEED = 2_000_002  # constants were chosen on 2 000 001
SAMPLE = Path("data/tabletop")
Mask = npt.NDArray[np.bool_]
Depth = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """One image with its truth: ``things`` are the masks (H, W) of what each query means, all large enough."""

    features: PatchFeatures
    depth: Depth
    camera: CameraIntrinsics
    things: dict[str, list[Mask]]


@dataclass(frozen=True)
class Sample:
    """One measured target: whether peak, pixel and 95 % ellipsoid hit; mean and largest sigma, error in m."""

    peak: bool
    pixel: bool
    inside: bool
    sigma: float
    largest: float
    error: float


def recorded(grounder: Grounder, path: Path) -> Iterator[View]:
    """Every image of a recording with ``truth.json`` beside it."""
    truth = load_truth(path)
    for each in read_observations(path):
        if each.depth is not None and each.camera is not None:
            size = each.image.shape[:2]
            seen = {
                query: [sighting.region(size) for sighting in truth.visible(each.stamp, query)]
                for query in truth.queries
            }
            yield View(grounder.encode_image(each.image), each.depth, each.camera, _large(seen))


def simulated(grounder: Grounder, seed: int, count: int) -> Iterator[View]:
    """``count`` random scenes, one image of each."""
    rng = np.random.default_rng(seed)
    with Renderer(WIDTH, HEIGHT, shadow_size=512) as renderer:
        for _ in range(count):
            scene = random_scene(rng, views=1)
            renderer.load(scene)
            frame = renderer.render(scene.cameras[0])
            seen: dict[str, list[Mask]] = {}
            for index, thing in enumerate(scene.objects):
                seen.setdefault(thing.query, []).append(frame.instances == index)
            depth = np.where(np.isfinite(frame.depth), frame.depth, np.float32(np.nan))
            yield View(grounder.encode_image(frame.rgb), depth, renderer.intrinsics(scene), _large(seen))


def _large(things: dict[str, list[Mask]]) -> dict[str, list[Mask]]:
    large = {query: [mask for mask in masks if mask.mean() >= MIN_VISIBLE] for query, masks in things.items()}
    return {query: masks for query, masks in large.items() if masks}


def by_model(grounder: Grounder, view: View, depth: Depth) -> Iterator[Sample]:
    """The best target of each query of which something is in view, where it was found."""
    queries = [Query(query) for query in view.things]
    flat = grounder.ground(view.features, queries)
    solid = grounder.ground(view.features, queries, depth=depth, camera=view.camera)
    for index, masks in enumerate(view.things.values()):
        peak, target = flat.best(index).pixel, solid.best(index)
        if target.point is not None and target.covariance is not None:
            yield _sample(view, masks, peak, Measurement(target.point, target.covariance, "ok"))


def by_masks(grounder: Grounder, view: View, depth: Depth) -> Iterator[Sample]:
    """The same from the middle of every object, the region a patch wider than it: how good the geometry is alone."""
    patch = view.depth.shape[0] / view.features.tokens.shape[0]
    for masks in view.things.values():
        for mask in masks:
            rows, columns = np.nonzero(mask)
            middle = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
            peak = float(columns[middle]), float(rows[middle])
            wide = cv2.dilate(mask.view(np.uint8), np.ones((round(patch) | 1,) * 2, np.uint8)).view(bool)
            limits = grounder.config.min_depth, grounder.config.max_depth
            found = measure(Region(peak, wide, 1.0, patch), depth, view.camera, *limits)
            if found.point is not None:
                yield _sample(view, [mask], peak, found)


def _sample(view: View, masks: list[Mask], peak: tuple[float, float] | None, found: Measurement) -> Sample:
    assert found.point is not None
    assert found.covariance is not None
    pixel = project(view.camera, found.point[None])[0].tolist()
    error = surface_error(found.point.tolist(), view.depth, np.logical_or.reduce(masks), view.camera)
    inverse = np.linalg.inv(found.covariance)
    away = [found.point - _surface(view, mask) for mask in masks]
    variances = np.linalg.eigvalsh(found.covariance)
    return Sample(
        peak=any(pointing_hit(peak, mask) for mask in masks),
        pixel=any(pointing_hit(pixel, mask) for mask in masks),
        inside=min(float(each @ inverse @ each) for each in away) <= CHI_SQUARE_95,
        sigma=float(np.sqrt(variances.mean())),
        largest=float(np.sqrt(variances.max())),
        error=error,
    )


def _surface(view: View, mask: Mask) -> npt.NDArray[np.float64]:
    """Median visible point (3,) m of an object, as ``surface`` in the truth."""
    rows, columns = np.nonzero(mask & np.isfinite(view.depth))
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    return np.asarray(np.median(back_project(view.camera, pixels, view.depth[rows, columns]), axis=0))


def samples(grounder: Grounder, views: Iterable[View]) -> dict[str, list[Sample]]:
    """Every target by where its peak and its depth come from."""
    rng = np.random.default_rng(0)
    result: dict[str, list[Sample]] = {}
    for view in views:
        sigma = depth_noise(view.depth.astype(np.float64))
        noisy = (view.depth + rng.normal(size=sigma.shape) * sigma).astype(np.float32)
        for kind, depth in (("clean", view.depth), ("noisy", noisy)):
            result.setdefault(f"model, {kind}", []).extend(by_model(grounder, view, depth))
            result.setdefault(f"masks, {kind}", []).extend(by_masks(grounder, view, depth))
    return result


def add_rows(table: Table, name: str, measured: dict[str, list[Sample]]) -> None:
    """One row for each kind of peak and depth; lengths in cm."""
    for kind, found in measured.items():
        values = {key: np.array([getattr(each, key) for each in found]) for key in Sample.__dataclass_fields__}
        on, lengths = values["pixel"], {key: 100 * values[key] for key in ("sigma", "largest", "error")}
        row = [len(found), *(f"{100 * share.mean():.1f}" for share in (values["peak"], on, values["inside"][on]))]
        row += [f"{100 * values['inside'].mean():.1f}"]
        row += [f"{np.median(lengths[key]):.1f}" for key in ("sigma", "largest")]
        row += [f"{np.percentile(lengths['error'], at):.2f}" for at in (50, 95)]
        row += [f"{np.percentile(lengths['error'][on], 95):.2f}"]
        table.add_row(name, kind, *map(str, row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, default=SAMPLE, help="a bag with truth.json beside it")
    parser.add_argument("--scenes", type=int, default=300, help="random scenes")
    parser.add_argument("--seed", type=int, default=SEED, help="of the random scenes")
    arguments = parser.parse_args()
    grounder = Grounder.load(BUNDLED)
    columns = (
        "scenes",
        "peaks, depth",
        "found",
        "peak on it %",
        "pixel on it %",
        "in 95 % (on it) %",
        "in 95 % (all) %",
    )
    lengths = ("sigma cm", "largest sigma cm", "error median cm", "error p95 cm", "error p95 (on it) cm")
    table = Table(*columns, *lengths, title="3D points and their covariances")
    for name, views in (
        (arguments.recording.name, recorded(grounder, arguments.recording)),
        (f"random {arguments.seed}", simulated(grounder, arguments.seed, arguments.scenes)),
    ):
        add_rows(table, name, samples(grounder, views))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
