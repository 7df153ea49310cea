"""The numbers of docs/performance.md from benchmarks/results: ``python docs/make_performance.py``.

With ``--measure`` it measures them first, on this machine (nothing else should run here; about ten minutes on two
cores), and replaces the files of its kind, cpu or gpu.
"""

import sys
from pathlib import Path

from gem_ros import cli
from gem_ros.benchmarks import results, tables
from gem_ros.process import share_cores

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by docs/make_performance.py -->\n", "<!-- end -->\n"
VIT = ("--model", "ViT-B-16-quickgelu", "--pretrained", "random", "--image-size", "448")
# On a CPU a node with ViT-B/16 answers every few seconds: there only the model itself is of interest.
RUNS = {
    "cpu": {
        "bundled": ("--model", "bundled"),
        "vit-b-16": (*VIT, "--parts", "model,queries", "--batch", "1", "--seconds", "20"),
    },
    "gpu": {"vit-b-16": VIT},
}


def measure() -> None:
    """One file of numbers and one picture for each model of interest."""
    share_cores()  # as every command does, before PyTorch is loaded
    import torch

    kind = "gpu" if torch.cuda.is_available() else "cpu"
    for name, arguments in RUNS[kind].items():
        output = RESULTS / f"{kind}-{name}.json"
        if status := cli.main(["bench", *arguments, "--output", str(output), "--plot"]):
            sys.exit(status)


def render() -> str:
    """What belongs between the marks: a table and a picture for each file."""
    parts = []
    for path in sorted(RESULTS.glob("*.json")):
        found = results.read(path)
        picture = f"![{tables.title(found)}](../{path.with_suffix('.png').relative_to(ROOT).as_posix()})\n"
        parts.append(tables.markdown(found) + (f"\n{picture}" if path.with_suffix(".png").is_file() else ""))
    return "\n" + "\n".join(parts) + "\n" if parts else "\n"


def page(text: str) -> str:
    """``text`` with what :func:`render` says between its marks."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + render() + END + rest.partition(END)[2]


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        measure()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
