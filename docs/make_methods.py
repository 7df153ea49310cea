"""Every method measured alike on simulated scenes: ``python docs/make_methods.py`` writes its part of docs/methods.md
and docs/images/methods.png.

Held-out scenes, the bundled model, one factor changed at a time. CPU time is of one thread, all in turns, so that other
work on the machine hardly matters; 60 scenes take about three minutes of it.
"""

import argparse
import dataclasses
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is loaded

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.progress import track

from gem_ros.benchmarks.timing import in_turns, ratio
from gem_ros.config import replace
from gem_ros.core.pretrained import load_model
from gem_ros.geometry.refine import refine, upsample
from gem_ros.models import BUNDLED, default_config
from gem_ros.pipeline import Grounder
from gem_ros.replay.metrics import auroc
from gem_ros.sim.dataset import HELD_OUT_SEED, random_frames
from gem_ros.sim.held_out import HEIGHT, WIDTH, Question, evidence_of, questions_of
from gem_ros.sim.refinement import sensed

PAGE = Path(__file__).with_name("methods.md")
PICTURE = PAGE.parent / "images" / "methods.png"
BEGIN, END = "<!-- begin: written by docs/make_methods.py -->\n", "<!-- end -->\n"
SECONDS = 60.0  # of taking times
THRESHOLDS = np.linspace(-0.2, 1.0, 121)  # cosines, or what takes their place
REFINED = ("clip", "maskclip", "clip_surgery", "naclip", "gem", "sc_clip")
REFINEMENTS = {"none": None, "image": "guided", "depth": "guided", "pamr": "pamr"}

SHIPPED = default_config(BUNDLED)
BLOCKS, ITERATIONS = SHIPPED.gem.blocks, SHIPPED.gem.iterations
# Name -> (group, parameters other than those that are shipped)
VARIANTS = {
    **{name: ("methods", {"method": name}) for name in ("clip", "maskclip", "sclip", "clearclip", "naclip", "sc_clip")},
    "clip_surgery": ("methods", {"method": "clip_surgery"}),
    "clip_surgery, feature surgery": ("methods", {"method": "clip_surgery", "feature_surgery": True}),
    "gem": ("methods", {}),
    **{f"gem, {k} iterations": ("iterations", {"gem.iterations": k}) for k in range(5) if k != ITERATIONS},
    **{f"gem, blocks {b}": ("blocks", {"gem.blocks": b}) for b in (1, 2, 3, 4, 6) if b != BLOCKS},
    **{f"gem, tau {tau:g}": ("temperature", {"gem.temperature": tau}) for tau in (0.05, 0.1, 0.2, 0.5, 1.0)},
    **{f"gem, only {p}": ("projections", {"gem.projections": p}) for p in ("q", "k", "v", "qk", "qv", "kv")},
    "gem, not normalised": ("projections", {"gem.normalise": False}),
}


@dataclasses.dataclass
class View:
    """One image, what is asked of it, and by variant its maps and their largest cosines."""

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


def grounders() -> dict[str, Grounder]:
    """Of every variant, all with the same weights."""
    model = load_model(BUNDLED, None, torch.device("cpu"), torch.float32)
    return {name: Grounder(model, replace(SHIPPED, changes)) for name, (_, changes) in VARIANTS.items()}


def look(seen: list[View], models: dict[str, Grounder]) -> None:
    for view in track(seen, "looking"):
        texts = [each.query for each in view.asked]
        for name, grounder in models.items():
            view.maps[name], _ = evidence_of(grounder, grounder.encode_image(view.rgb), texts)


def overlaps(fine: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """IoU with ``mask`` (H, W) of what reaches each of :data:`THRESHOLDS` in ``fine`` (H, W)."""
    steps = np.searchsorted(THRESHOLDS, fine, side="right")  # how many of them each pixel reaches
    counts = [np.bincount(steps[part], minlength=len(THRESHOLDS) + 1) for part in (mask, ~mask)]
    inside, outside = (each[::-1].cumsum()[::-1][1:] for each in counts)
    return inside / (mask.sum() + outside)


def quality(seen: list[View], name: str) -> dict[str, float]:
    """Shares in [0, 1], and the one threshold whose mean IoU is best."""
    hits, ious, best = [], [], {True: [], False: []}
    for view in seen:
        for each, map_ in zip(view.asked, view.maps[name], strict=True):
            best[each.mask is not None].append(map_.max())
        for index, mask in view.masks:
            fine = upsample(view.maps[name][index : index + 1], mask.shape)[0]
            hits.append(mask.flat[fine.argmax()])
            ious.append(overlaps(fine, mask))
    mean = np.mean(ious, axis=0)
    separated = auroc(np.array(best[True]), np.array(best[False]))
    return {"pointing": np.mean(hits), "iou": mean.max(), "threshold": THRESHOLDS[mean.argmax()], "auroc": separated}


def refined(seen: list[View], name: str, threshold: float, scale: float) -> dict[str, float]:
    """Mean IoU by refinement, of the relevancy σ(scale · (cos − threshold)) at 0.5."""
    ious = {kind: [] for kind in REFINEMENTS}
    for view in seen:
        guides = {"image": view.rgb, "pamr": view.rgb, "depth": view.depth}
        for index, mask in view.masks:
            relevancy = 1 / (1 + np.exp(-scale * (view.maps[name][index : index + 1] - threshold)))
            fine = upsample(relevancy.astype(np.float32), mask.shape)[0]
            for kind, engine in REFINEMENTS.items():
                sharp = refine(fine, guides[kind], HEIGHT / relevancy.shape[1], engine) if engine else fine
                ious[kind].append((sharp[mask] >= 0.5).sum() / ((sharp >= 0.5) | mask).sum())
    return {kind: float(np.mean(each)) for kind, each in ious.items()}


def costs(models: dict[str, Grounder], rgb: np.ndarray) -> dict[str, tuple[float, float]]:
    """CPU ms, and times that of clip, round by round."""
    works = {name: lambda grounder=grounder: grounder.encode_image(rgb) for name, grounder in models.items()}
    times = in_turns(works, SECONDS)
    return {name: (each.cpu_ms, ratio(each, times["clip"], cpu=True)) for name, each in times.items()}


def tables(found: dict[str, dict[str, float]], sharp: dict[str, dict[str, float]], seen: list[View]) -> str:
    things = sum(len(view.masks) for view in seen)
    absent = sum(len(view.asked) for view in seen) - things
    share = found["gem"]["pointing"]
    half = 1.96 * (share * (1 - share) / things) ** 0.5
    lines = [
        f"{len(seen)} held-out scenes at {SHIPPED.image_size} px: {things} things in view, {absent} absent; by chance "
        f"alone a share such as gem's moves by ±{half:.3f} (95 %), differences between rows by less.",
        "",
        "| | pointing accuracy | mIoU | presence AUROC | CPU time, times clip's |",
        "|---|---|---|---|---|",
    ]
    for name, each in found.items():
        row = f"{each['pointing']:.3f} | {each['iou']:.3f} | {each['auroc']:.3f} | {each['times']:.2f}"
        lines.append(f"| `{name}`{' (shipped)' if name == 'gem' else ''} | {row} |")
    lines += ["", "mIoU by `refinement`:", "", f"| | {' | '.join(f'`{kind}`' for kind in REFINEMENTS)} |"]
    lines += ["|---" * (1 + len(REFINEMENTS)) + "|"]
    lines += [
        f"| `{name}` | {' | '.join(f'{each[kind]:.3f}' for kind in REFINEMENTS)} |" for name, each in sharp.items()
    ]
    return "\n".join(lines) + "\n"


def draw(found: dict[str, dict[str, float]]) -> None:
    """Quality against cost of the methods, and what each factor of GEM does."""
    figure = Figure(figsize=(13, 3.6), layout="constrained", dpi=110)
    axes = figure.subplots(1, 4)
    for name, (group, _) in VARIANTS.items():
        if group == "methods":
            each = found[name]
            axes[0].plot(each["times"], each["iou"], "o", color="C3" if name == "gem" else "C0")
            axes[0].annotate(name, (each["times"], each["iou"]), xytext=(3, 3), textcoords="offset points", fontsize=7)
    axes[0].set(xlabel="CPU time, times clip's", ylabel="mIoU", title="methods")
    axes[0].margins(x=0.25)
    own = {"iterations": ITERATIONS, "blocks": BLOCKS}
    for axis, factor in zip(axes[1:], ("iterations", "blocks", "temperature"), strict=True):
        points = {changes[f"gem.{factor}"]: name for name, (group, changes) in VARIANTS.items() if group == factor}
        points = dict(sorted((points | ({own[factor]: "gem"} if factor in own else {})).items()))
        for value, label in (("pointing", "pointing accuracy"), ("iou", "mIoU"), ("auroc", "presence AUROC")):
            line = axis.plot(list(points), [found[name][value] for name in points.values()], ".-", label=label)[0]
            axis.axhline(found["gem"][value], color=line.get_color(), linewidth=0.5, linestyle=":")
        axis.set(xlabel=f"gem.{factor}", title=f"{factor} (dotted: shipped)")
    axes[3].set_xscale("log")
    axes[1].legend(fontsize=7)
    figure.savefig(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    scenes = parser.parse_args().scenes
    cv2.setNumThreads(1)
    seen, models = views(scenes), grounders()
    look(seen, models)
    found = {name: quality(seen, name) for name in track(models, "judging")}
    scale = models["gem"].card.relevancy.scale
    sharp = {name: refined(seen, name, found[name]["threshold"], scale) for name in track(REFINED, "refining")}
    for name, (spent, times) in costs(models, seen[0].rgb).items():
        found[name] |= {"ms": spent, "times": times}
    draw(found)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    page = before + BEGIN + "\n" + tables(found, sharp, seen) + "\n" + END + rest.partition(END)[2]
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
