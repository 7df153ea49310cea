"""The tables, sentences and the picture of docs/methods.md from the numbers that make_methods.py wrote."""

from itertools import product

import numpy as np
from matplotlib.figure import Figure
from methods_numbers import MEASURES, agrees, direction

SHIPPED = "gem"
NAMES = {"pointing": "pointing accuracy", "miou": "mIoU", "auroc": "presence AUROC"}
LABELS = {"gem.blocks": "blocks", "gem.iterations": "iterations", "gem.temperature": "tau"}
BLOCKS, ITERATIONS, TEMPERATURES = (1, 2, 3), (0, 1, 2), (0.0, 0.2, 0.5)  # the grid; 0: adaptive
PAPERS = "the paper (6 blocks, 1 iteration)"
# (from, to, published values of each): mIoU of VOC and Context; of the mean of eight benchmarks; images per second
STEPS = [
    ("clip", "maskclip", (10.4, 28.6), (7.7, 23.8)),
    ("maskclip", "clip_surgery", (28.6, 41.2), (23.8, 30.5)),
    ("clip_surgery", "gem", (41.2, 46.2), (30.5, 32.6)),
    *[
        (f"iterations {k}", f"iterations {k + 1}", voc, context)
        for k, (voc, context) in enumerate(
            zip(
                [(41.2, 45.1), (45.1, 45.5), (45.5, 46.2), (46.2, 45.6)],
                [(30.5, 31.5), (31.5, 32.6), (32.6, 31.9), (31.9, 31.1)],
                strict=True,
            )
        )
    ],
    ("maskclip", "clearclip", (30.3, 38.1)),
    ("clearclip", "sclip", (38.1, 38.2)),
    ("sclip", "naclip", (38.2, 39.4)),
    ("naclip", "sc_clip", (39.4, 43.9)),
]
RATES = {"maskclip": (42.1, 42.4), "clip_surgery, blocks 6": (42.1, 38.5), PAPERS: (42.1, 37.2)}


def called(method: str, changes: dict) -> str:
    """The name of a variant."""
    return ", ".join([method, *(f"{LABELS[name]} {value:g}" for name, value in changes.items())])


def step_name(name: str, shipped: dict) -> str:
    """``iterations 2`` -> the variant that has them, all else as shipped."""
    kind, _, count = name.partition(" ")
    if kind != "iterations":
        return name
    return SHIPPED if int(count) == shipped["gem.iterations"] else called(SHIPPED, {"gem.iterations": int(count)})


def cell(shipped: dict, blocks: int, iterations: int, temperature: float) -> str:
    """The variant in a cell of the grid."""
    values = {"gem.blocks": blocks, "gem.iterations": iterations, "gem.temperature": temperature}
    return called(SHIPPED, {name: value for name, value in values.items() if value != shipped[name]})


def page(results: dict) -> str:
    """All that stands between the marks in docs/methods.md."""
    parts = (introduction, quality, grid, verdict, refinements, trends)
    return "\n\n".join(part(results) for part in parts) + "\n"


def introduction(results: dict) -> str:
    made = results["settings"]
    return (
        f"{made['scenes']} held-out scenes at {made['image_size']} px: {made['things']} things in view, "
        f"{made['absent']} absent. After ± and in brackets: 95 % by drawing the scenes anew; *less shipped* is of the "
        "same draws, and bold where it is beyond chance. ms: CPU time of one image on one thread, median of "
        f"{made['rounds']} rounds in turns ({made['cpu']}, {made['date']}, revision {made['revision']})."
    )


def quality(results: dict) -> str:
    measures = " | ".join(f"{NAMES[measure]} | less shipped" for measure in MEASURES)
    lines = [f"| | {measures} | ms | times clip's |", "|---" * 9 + "|"]
    for name, each in results["variants"].items():
        cells = [f"`{name}`{' (shipped)' if name == SHIPPED else ''}"]
        for measure in MEASURES:
            cells += [with_half(each[measure]), signed(each["less"][measure])]
        cells += [f"{each['ms']:.0f}", f"{each['times'][0]:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def grid(results: dict) -> str:
    shipped, variants = results["settings"]["shipped"], results["variants"]
    lines = ["gem: pointing accuracy / mIoU by iterations, temperature and blocks:", ""]
    lines += ["| | " + " | ".join(f"blocks {b}" for b in BLOCKS) + " |", "|---" * (1 + len(BLOCKS)) + "|"]
    for iterations, tau in product(ITERATIONS, TEMPERATURES):
        found = [variants[cell(shipped, blocks, iterations, tau)] for blocks in BLOCKS]
        row = " | ".join(f"{each['pointing'][0]:.3f} / {each['miou'][0]:.3f}" for each in found)
        lines.append(f"| {iterations} iterations, tau {f'{tau:g}' if tau else 'adaptive'} | {row} |")
    return "\n".join(lines)


def verdict(results: dict) -> str:
    """Is what is shipped the best, or within chance of it?"""
    variants = results["variants"]
    lucky = 0.025 * (len(variants) - 1)
    lines = [f"Of {len(variants)} variants, of which {lucky:.1f} would look better by chance in each measure:", ""]
    for measure in MEASURES:
        best = max(variants, key=lambda name: variants[name][measure][0])
        better = [name for name in variants if direction(*variants[name]["less"][measure][1:]) > 0]
        what = f"- {NAMES[measure]}: best is `{best}` with {variants[best][measure][0]:.3f}"
        what += "" if best == SHIPPED else f", {signed(variants[best]['less'][measure])} to what is shipped"
        lines.append(f"{what}; better than shipped beyond chance: {listed(better)}.")
    own = variants[SHIPPED]
    cheaper = [
        name
        for name, each in variants.items()
        if each["times"][2] < own["times"][1] and all(each["less"][m][2] >= 0 for m in MEASURES)
    ]
    lines.append(f"- cheaper beyond chance, and in none of the three worse beyond chance: {listed(cheaper)}.")
    return "\n".join(lines)


def refinements(results: dict) -> str:
    found = results["refinement"]
    kinds = list(next(iter(found.values())))
    lines = ["mIoU by `refinement`, and ms of one map:", "", f"| | {' | '.join(f'`{kind}`' for kind in kinds)} |"]
    lines.append("|---" * (1 + len(kinds)) + "|")
    lines += [f"| `{name}` | {' | '.join(with_half(each[kind]) for kind in kinds)} |" for name, each in found.items()]
    spent = " | ".join(f"{results['refinement_ms'][kind]:.1f}" for kind in kinds)
    lines.append(f"| ms | {spent} |")
    return "\n".join(lines)


def trends(results: dict) -> str:
    """Each step of a published ablation beside the same step here."""
    shipped, variants = results["settings"]["shipped"], results["variants"]
    lines = [
        "Against the papers (ViT-B/16 of CLIP; mIoU of VOC and Context, or mean of eight benchmarks), step by step:",
        "",
    ]
    lines += ["| from | to | published | mIoU here | |", "|---" * 5 + "|"]
    for start, end, *published in STEPS:
        first, second = step_name(start, shipped), step_name(end, shipped)
        step = results["steps"][f"{first} -> {second}"]
        signs = {int(np.sign(after - before)) for before, after in published}
        said = agrees(signs.pop(), *step[1:]) if len(signs) == 1 else "the paper's two differ"
        paper = ", ".join(f"{before:g} → {after:g}" for before, after in published)
        here = f"{variants[first]['miou'][0]:.3f} → {variants[second]['miou'][0]:.3f} ({signed(step)})"
        lines.append(f"| {start} | {end} | {paper} | {here} | {said} |")
    pamr = results["steps"]["naclip none -> pamr"]
    none, with_it = (results["refinement"]["naclip"][kind][0] for kind in ("none", "pamr"))
    said = agrees(1, *pamr[1:])
    lines.append(f"| naclip | naclip with PAMR | 39.4 → 42.5 | {none:.3f} → {with_it:.3f} ({signed(pamr)}) | {said} |")
    lines += ["", "| | published images/s, clip's less | time, times clip's, here | |", "|---|---|---|---|"]
    for name, (clip, rate) in RATES.items():
        middle, low, high = variants[name]["times"]
        said = agrees(clip - rate, low - 1, high - 1)  # fewer images per second: more time
        lines.append(f"| `{name}` | {clip:g} → {rate:g} ({clip / rate:.2f} times) | {middle:.2f} | {said} |")
    return "\n".join(lines)


def with_half(value: list[float]) -> str:
    middle, low, high = value
    return f"{middle:.3f} ±{(high - low) / 2:.3f}"


def signed(difference: list[float]) -> str:
    middle, low, high = difference
    if not (middle or low or high):
        return ""
    text = f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"**{text}**" if direction(low, high) else text


def listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def draw(results: dict, path) -> None:
    """Quality against cost of the methods, what each factor does, and the grid."""
    shipped, variants = results["settings"]["shipped"], results["variants"]
    figure = Figure(figsize=(13, 7), layout="constrained", dpi=110)
    axes = figure.subplots(2, 4)
    _methods(axes[0, 0], {name: each for name, each in variants.items() if each["group"] == "methods"})
    for axis, factor in zip(axes[0, 1:], LABELS, strict=True):
        points = {each["changes"][factor]: name for name, each in variants.items() if each["group"] == factor}
        own = {} if factor == "gem.temperature" else {shipped[factor]: SHIPPED}  # adaptive is none
        points = dict(sorted((points | own).items()))
        for measure in MEASURES:
            middle, low, high = np.array([variants[name][measure] for name in points.values()]).T
            line = axis.plot(list(points), middle, ".-", label=NAMES[measure])[0]
            axis.fill_between(list(points), low, high, color=line.get_color(), alpha=0.15, linewidth=0)
            axis.axhline(variants[SHIPPED][measure][0], color=line.get_color(), linewidth=0.5, linestyle=":")
        axis.set(xlabel=factor, title="dotted: shipped")
    axes[0, 3].set_xscale("log")
    axes[0, 1].legend(fontsize=7)
    for axis, tau in zip(axes[1], TEMPERATURES, strict=False):
        _grid(axis, variants, shipped, tau)
    _refinement(axes[1, 3], results["refinement"])
    figure.savefig(path)


def _methods(axis, variants: dict) -> None:
    for name, each in variants.items():
        point = each["times"][0], each["miou"][0]
        axis.plot(*point, "o", color="C3" if name == SHIPPED else "C0")
        axis.annotate(name, point, xytext=(3, 3), textcoords="offset points", fontsize=7)
    axis.set(xlabel="CPU time, times clip's", ylabel="mIoU", title="methods")
    axis.margins(x=0.25)


def _grid(axis, variants: dict, shipped: dict, tau: float) -> None:
    values = [[variants[cell(shipped, blocks, k, tau)]["miou"][0] for blocks in BLOCKS] for k in ITERATIONS]
    axis.imshow(values, vmin=0.3, vmax=0.65, cmap="viridis", aspect="auto")
    for (row, k), (column, blocks) in product(enumerate(ITERATIONS), enumerate(BLOCKS)):
        own = (blocks, k, tau) == tuple(shipped[name] for name in LABELS)
        text = f"{values[row][column]:.3f}" + ("\nshipped" if own else "")
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color="white")
    axis.set_xticks(range(len(BLOCKS)), BLOCKS)
    axis.set_yticks(range(len(ITERATIONS)), ITERATIONS)
    axis.set(xlabel="gem.blocks", ylabel="gem.iterations", title=f"mIoU, tau {f'{tau:g}' if tau else 'adaptive'}")


def _refinement(axis, found: dict) -> None:
    for offset, kind in enumerate(next(iter(found.values()))):
        middle, low, high = np.array([each[kind] for each in found.values()]).T
        places = np.arange(len(found)) + 0.2 * (offset - 1.5)
        axis.bar(places, middle, 0.2, label=kind, yerr=(middle - low, high - middle), error_kw={"linewidth": 0.6})
    axis.set_xticks(range(len(found)), list(found), rotation=30, fontsize=7)
    axis.set(ylabel="mIoU", title="refinement")
    axis.legend(fontsize=7)
