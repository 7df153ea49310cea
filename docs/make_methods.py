"""Every method measured alike on simulated scenes: ``python docs/make_methods.py`` writes its part of docs/methods.md,
docs/images/methods.png, and the numbers into benchmarks/results/methods/bundled.json.

Held-out scenes, the bundled model; one factor changed at a time, and a grid of those that depend on each other. CPU
time is of one thread, all in turns. Run it while the machine does nothing else; --page writes the page alone, anew.
"""

import argparse
import dataclasses
import json
import os
from datetime import datetime, timezone
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is loaded

import cv2
import methods_page
import numpy as np
import torch
from methods_numbers import Draws, Found, interval, median_interval
from methods_page import BLOCKS, ITERATIONS, PAPERS, SHIPPED, TEMPERATURES, called
from rich.progress import track

from gem_ros.benchmarks import machine
from gem_ros.benchmarks.timing import in_turns
from gem_ros.config import METHODS, replace
from gem_ros.core.pretrained import load_model
from gem_ros.geometry.refine import refine, upsample
from gem_ros.models import BUNDLED, default_config
from gem_ros.pipeline import Grounder
from gem_ros.sim.dataset import HELD_OUT_SEED, random_frames
from gem_ros.sim.held_out import HEIGHT, WIDTH, Question, evidence_of, questions_of
from gem_ros.sim.refinement import sensed

DOCS = Path(__file__).resolve().parent
PAGE, PICTURE = DOCS / "methods.md", DOCS / "images" / "methods.png"
NUMBERS = DOCS.parent / "benchmarks" / "results" / "methods" / "bundled.json"
BEGIN, END = "<!-- begin: written by docs/make_methods.py -->\n", "<!-- end -->\n"
SCENES = 120
SECONDS = 120.0  # of taking times
REFINING = 5.0
THRESHOLDS = np.linspace(-0.2, 1.0, 121)  # cosines, or what takes their place
REFINED = ("clip", "maskclip", "clip_surgery", "naclip", "gem", "sc_clip")
REFINEMENTS = {"none": None, "image": "guided", "depth": "guided", "pamr": "pamr"}
CONFIG = default_config(BUNDLED)
OWN = {f"gem.{name}": getattr(CONFIG.gem, name) for name in ("blocks", "iterations", "temperature")}  # shipped
FACTORS = {
    "gem.iterations": range(5),
    "gem.blocks": (1, 2, 3, 4, 6),
    "gem.temperature": (0.05, 0.1, 0.2, 0.5, 1.0),
}


def variants() -> dict[str, tuple[str, dict]]:
    """Name -> (group, parameters other than those that are shipped)."""
    found = {name: ("methods", {"method": name}) for name in METHODS}
    found["clip_surgery, feature surgery"] = ("methods", {"method": "clip_surgery", "feature_surgery": True})
    for name, values in FACTORS.items():
        others = [{name: value} for value in values if value != OWN[name]]
        found |= {called("gem", each): (name, each) for each in others}
    for blocks in FACTORS["gem.blocks"]:
        if blocks != OWN["gem.blocks"]:
            change = {"gem.blocks": blocks}
            found[called("clip_surgery", change)] = ("method × blocks", {"method": "clip_surgery", **change})
    for values in product(BLOCKS, ITERATIONS, TEMPERATURES):
        changes = {name: value for name, value in zip(OWN, values, strict=True) if value != OWN[name]}
        found.setdefault(called("gem", changes), ("grid", changes))
    found |= {f"gem, only {p}": ("projections", {"gem.projections": p}) for p in ("q", "k", "v", "qk", "qv", "kv")}
    found["gem, not normalised"] = ("projections", {"gem.normalise": False})
    found[PAPERS] = ("paper", {"gem.blocks": 6, "gem.iterations": 1})
    return found


@dataclasses.dataclass
class View:
    """One image, what is asked of it, and by variant its maps."""

    rgb: np.ndarray
    depth: np.ndarray
    asked: list[Question]
    maps: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def masks(self):
        """(index, mask) of what is in view; large enough, as held_out has it."""
        return [(index, each.mask) for index, each in enumerate(self.asked) if each.mask is not None]


def views(scenes: int) -> list[View]:
    rng, noise = np.random.default_rng(HELD_OUT_SEED), np.random.default_rng(0)
    return [
        View(frame.rgb, sensed(frame.depth, noise), questions_of(scene, frame, rng))
        for scene, frame in random_frames(HELD_OUT_SEED, scenes, WIDTH, HEIGHT, views=1)
    ]


def grounders(wanted: dict[str, tuple[str, dict]]) -> dict[str, Grounder]:
    """Of every variant, all with the same weights."""
    model = load_model(BUNDLED, None, torch.device("cpu"), torch.float32)
    return {name: Grounder(model, replace(CONFIG, changes)) for name, (_, changes) in wanted.items()}


def look(seen: list[View], models: dict[str, Grounder]) -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    for view in track(seen, "looking"):
        texts = [each.query for each in view.asked]
        for name, grounder in models.items():
            view.maps[name], _ = evidence_of(grounder, grounder.encode_image(view.rgb), texts)
    torch.set_num_threads(1)


def overlaps(fine: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """IoU with ``mask`` (H, W) of what reaches each of :data:`THRESHOLDS` in ``fine`` (H, W)."""
    steps = np.searchsorted(THRESHOLDS, fine, side="right")  # how many of them each pixel reaches
    counts = [np.bincount(steps[part], minlength=len(THRESHOLDS) + 1) for part in (mask, ~mask)]
    inside, outside = (each[::-1].cumsum()[::-1][1:] for each in counts)
    return inside / (mask.sum() + outside)


def judged(seen: list[View], name: str) -> Found:
    """What the maps of a variant say, thing by thing and question by question."""
    hits, ious, things, peaks, present, asked = [], [], [], [], [], []
    for number, view in enumerate(seen):
        for each, map_ in zip(view.asked, view.maps[name], strict=True):
            peaks.append(map_.max())
            present.append(each.mask is not None)
            asked.append(number)
        for index, mask in view.masks:
            fine = upsample(view.maps[name][index : index + 1], mask.shape)[0]
            hits.append(bool(mask.flat[fine.argmax()]))
            ious.append(overlaps(fine, mask))
            things.append(number)
    return Found(*map(np.array, (things, hits, ious, asked, present, peaks)))


def refined(seen: list[View], name: str, threshold: float, scale: float) -> dict[str, np.ndarray]:
    """IoU of each thing by refinement, of the relevancy σ(scale · (cos − threshold)) at 0.5."""
    ious = {kind: [] for kind in REFINEMENTS}
    for view in seen:
        for index, mask in view.masks:
            relevancy = 1 / (1 + np.exp(-scale * (view.maps[name][index : index + 1] - threshold)))
            fine = upsample(relevancy.astype(np.float32), mask.shape)[0]
            for kind in REFINEMENTS:
                sharp = sharpened(view, fine, HEIGHT / relevancy.shape[1], kind)
                ious[kind].append((sharp[mask] >= 0.5).sum() / ((sharp >= 0.5) | mask).sum())
    return {kind: np.array(each) for kind, each in ious.items()}


def sharpened(view: View, fine: np.ndarray, patch: float, kind: str) -> np.ndarray:
    engine = REFINEMENTS[kind]
    return refine(fine, view.depth if kind == "depth" else view.rgb, patch, engine) if engine else fine


def quality(founds: dict[str, Found], draws: Draws, wanted: dict[str, tuple[str, dict]]) -> tuple[dict, dict]:
    """For the file: variants with intervals and what each thing gave; and the steps that papers publish."""
    moved = {name: draws.measures(found) for name, found in founds.items()}
    rows = {}
    for name, found in founds.items():
        best = found.overlaps.mean(axis=0).argmax()
        rows[name] = {
            "group": wanted[name][0],
            "changes": wanted[name][1],
            **{measure: interval(values) for measure, values in moved[name].items()},
            "less": {measure: interval(values - moved[SHIPPED][measure]) for measure, values in moved[name].items()},
            "threshold": round(float(THRESHOLDS[best]), 2),
            "hits": "".join("01"[int(hit)] for hit in found.hits),
            "ious": found.overlaps[:, best].round(3).tolist(),
        }
    pairs = [[methods_page.step_name(each, OWN) for each in step[:2]] for step in methods_page.STEPS]
    return rows, {f"{a} -> {b}": interval(moved[b]["miou"] - moved[a]["miou"]) for a, b in pairs}


def costs(models: dict[str, Grounder], rgb: np.ndarray) -> tuple[dict[str, dict], int]:
    """CPU and wall ms, and times clip's CPU time round by round with an interval; how many rounds."""
    works = {name: lambda grounder=grounder: grounder.encode_image(rgb) for name, grounder in models.items()}
    times = in_turns(works, SECONDS)
    found = {
        name: {
            "ms": round(each.cpu_ms, 2),
            "wall_ms": round(each.wall_ms(50), 2),
            "times": median_interval(each.cpu / times["clip"].cpu),
        }
        for name, each in times.items()
    }
    return found, len(times["clip"].cpu)


def refinement_costs(view: View) -> dict[str, float]:
    """CPU ms of one map of the first thing in view, upsampling included."""
    index, mask = view.masks[0]
    coarse = view.maps[SHIPPED][index : index + 1]
    patch = HEIGHT / coarse.shape[1]

    def work(kind: str) -> object:
        return lambda: sharpened(view, upsample(np.clip(coarse, 0, 1), mask.shape)[0], patch, kind)

    times = in_turns({kind: work(kind) for kind in REFINEMENTS}, REFINING)
    return {kind: round(each.cpu_ms, 2) for kind, each in times.items()}


def measured(scenes: int) -> dict:
    """Everything, fit for JSON."""
    wanted = variants()
    seen, models, draws = views(scenes), grounders(wanted), Draws(scenes)
    look(seen, models)
    founds = {name: judged(seen, name) for name in track(models, "judging")}
    rows, steps = quality(founds, draws, wanted)
    scale = models[SHIPPED].card.relevancy.scale
    sharp = {name: refined(seen, name, rows[name]["threshold"], scale) for name in track(REFINED, "refining")}
    scene = founds[SHIPPED].thing_scene
    moved = {name: {kind: draws.means(ious, scene) for kind, ious in each.items()} for name, each in sharp.items()}
    steps["naclip none -> pamr"] = interval(moved["naclip"]["pamr"] - moved["naclip"]["none"])
    spent, rounds = costs(models, seen[0].rgb)
    things = len(scene)
    return {
        "format": 1,
        "settings": {
            "scenes": scenes,
            "things": things,
            "absent": len(founds[SHIPPED].peaks) - things,
            "image_size": CONFIG.image_size,
            "shipped": OWN,
            "rounds": rounds,
            "cpu": machine.hardware()["cpu"],
            "date": datetime.now(timezone.utc).date().isoformat(),
            "revision": machine.revision(),
            "versions": machine.versions(),
        },
        "scene_of_thing": scene.tolist(),
        "variants": {name: row | spent[name] for name, row in rows.items()},
        "steps": steps,
        "refinement": {name: {kind: interval(m) for kind, m in each.items()} for name, each in moved.items()},
        "refinement_ious": {n: {k: v.round(3).tolist() for k, v in each.items()} for n, each in sharp.items()},
        "refinement_ms": refinement_costs(next(view for view in seen if view.masks)),
    }


def write_page(results: dict, page: Path, picture: Path) -> None:
    methods_page.draw(results, picture)
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    text = before + BEGIN + "\n" + methods_page.page(results) + "\n" + END + rest.partition(END)[2]
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--page", action="store_true", help="write the page from the numbers that are there")
    parser.add_argument("--try-in", type=Path, metavar="FOLDER", help="write everything there, docs stay as they are")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    numbers, page, picture = NUMBERS, PAGE, PICTURE
    if given.try_in:
        numbers, page, picture = (given.try_in / each.name for each in (NUMBERS, PAGE, PICTURE))
        given.try_in.mkdir(parents=True, exist_ok=True)
        page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    if not given.page:
        numbers.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps(measured(given.scenes)) + "\n", encoding="utf-8")
    write_page(json.loads(numbers.read_text(encoding="utf-8")), page, picture)


if __name__ == "__main__":
    main()
