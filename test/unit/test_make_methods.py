"""The numbers and sentences of docs/methods.md, by hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

DOCS = str(Path(__file__).parents[2] / "docs")
sys.path.insert(0, DOCS)
import methods_numbers  # noqa: E402
import methods_page  # noqa: E402
from methods_numbers import Draws, Found, agrees, direction, interval, median_interval  # noqa: E402

sys.path.remove(DOCS)
OWN = {"gem.blocks": 2, "gem.iterations": 0, "gem.temperature": 0.0}


def found(**changes):
    """Two scenes: one thing hit in the first; one hit and one missed in the second."""
    values = {
        "thing_scene": np.array([0, 1, 1]),
        "hits": np.array([True, True, False]),
        "overlaps": np.array([[0.2, 0.8], [0.4, 0.2], [0.9, 0.2]]),
        "scene": np.array([0, 0, 1, 1, 1]),
        "present": np.array([True, False, True, True, False]),
        "peaks": np.array([0.9, 0.5, 0.3, 0.5, 0.1]),
    }
    return Found(**{**values, **changes})


class Chosen(Draws):
    """The draws (first, first) and (second, second) after the scenes as they are."""

    weights = np.array([[1, 1], [2, 0], [0, 2]])


def test_measures_by_hand():
    measured = Chosen(2).measures(found())
    assert measured["pointing"] == pytest.approx([2 / 3, 1, 1 / 2])
    # both thresholds' means are 1.5/3 and 1.2/3; 0.2 and 0.8; 0.65 and 0.2
    assert measured["miou"] == pytest.approx([0.5, 0.8, 0.65])
    # present 0.9 0.3 0.5 against absent 0.5 0.1: 2 + 1 + 1.5 of 6; 0.9 against 0.5; 0.3 and 0.5 against 0.1
    assert measured["auroc"] == pytest.approx([4.5 / 6, 1, 1])


def test_a_draw_without_things_does_not_count():
    pointing = Chosen(2).measures(found(thing_scene=np.array([1, 1, 1])))["pointing"]
    assert pointing[0] == pytest.approx(2 / 3) and np.isnan(pointing[1])
    assert interval(pointing) == [0.6667, 0.6667, 0.6667]


def test_the_first_draw_is_the_scenes_themselves_and_all_are_as_many():
    weights = Draws(5, 100).weights
    assert (weights[0] == 1).all() and (weights.sum(axis=1) == 5).all() and len(weights) == 101
    assert weights[1:].mean(axis=0) == pytest.approx([1] * 5, abs=0.3)


def test_an_interval_is_nearly_the_binomials():
    """149 things of which 91 % are hit, each alone in its scene: ±0.045, to a thing."""
    hits = np.arange(149) < 136
    middle, low, high = interval(Draws(149).means(hits, np.arange(149)))
    assert middle == pytest.approx(136 / 149, abs=1e-4)
    assert (high - low) / 2 == pytest.approx(1.96 * (0.9128 * 0.0872 / 149) ** 0.5, abs=1 / 149)


def test_an_interval_is_95_percent_of_the_draws():
    assert interval(np.array([7.0, *range(1001)])) == [7, 25, 975]
    assert median_interval(np.full(5, 1.25)) == [1.25, 1.25, 1.25]


def test_directions():
    assert [direction(*each) for each in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.2), (0.0, 0.1))] == [1, -1, 0, 0]
    said = [agrees(paper, *each) for paper in (1, -1) for each in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))]
    assert said == ["agrees", "**differs**", "within chance", "**differs**", "agrees", "within chance"]


def test_names():
    assert methods_page.cell(OWN, 2, 0, 0.0) == "gem"
    assert methods_page.cell(OWN, 3, 0, 0.2) == "gem, blocks 3, tau 0.2"
    assert methods_page.step_name("iterations 0", OWN) == "gem"
    assert methods_page.step_name("iterations 2", OWN) == "gem, iterations 2"
    assert methods_page.step_name("naclip", OWN) == "naclip"


def all_three(*values):
    return {name: list(values) for name in methods_numbers.MEASURES}


@pytest.fixture
def results():
    """Of the variants that make_methods has; shipped has 0.9, 0.6, 0.97, all others are worse, alike and as dear."""
    middles = {"pointing": 0.9, "miou": 0.6, "auroc": 0.97}
    own = {name: [value, value - 0.05, value + 0.05] for name, value in middles.items()}
    worse = {each: [value[0] - 0.1, value[1] - 0.1, value[2] - 0.1] for each, value in own.items()}
    shared = {"times": [1.04, 1.02, 1.06], "ms": 80.4, "group": "methods"}
    names = {name for step in methods_page.STEPS for name in step[:2]}
    names = {methods_page.step_name(name, OWN) for name in names} | set(methods_page.RATES)
    factors = {"gem.blocks": 1, "gem.iterations": 1, "gem.temperature": 0.5}
    cells = [(b, k, t) for b in methods_page.BLOCKS for k in methods_page.ITERATIONS for t in methods_page.TEMPERATURES]
    names |= {methods_page.cell(OWN, *each) for each in cells} | {"clip", "gem"}
    less = all_three(-0.1, -0.15, -0.05)
    variants = {name: {**worse, **shared, "less": less, "changes": {}} for name in sorted(names)}
    for factor, value in factors.items():
        name = methods_page.called("gem", {factor: value})
        variants[name] |= {"group": factor, "changes": {factor: value}}
    variants["gem"] = {**own, **shared, "less": all_three(0.0, 0.0, 0.0), "changes": {}}
    pairs = [[methods_page.step_name(name, OWN) for name in step[:2]] for step in methods_page.STEPS]
    steps = {f"{a} -> {b}": [0.1, 0.05, 0.15] for a, b in pairs} | {"naclip none -> pamr": [0.1, -0.02, 0.2]}
    kinds = {"none": [0.5, 0.4, 0.6], "image": [0.7, 0.6, 0.8], "depth": [0.65, 0.6, 0.7], "pamr": [0.72, 0.7, 0.74]}
    settings = {"scenes": 7, "things": 20, "absent": 50, "image_size": 384, "shipped": OWN, "rounds": 9}
    settings |= {"cpu": "a CPU", "date": "2030-01-01", "revision": "abc"}
    return {
        "settings": settings,
        "variants": variants,
        "steps": steps,
        "refinement": {"gem": kinds, "naclip": kinds},
        "refinement_ms": dict.fromkeys(kinds, 1.25),
    }


def test_the_table(results):
    lines = methods_page.quality(results).splitlines()
    assert "| `gem` (shipped) | 0.900 ±0.050 |  | 0.600 ±0.050 |  | 0.970 ±0.050 |  | 80 | 1.04 |" in lines
    less = "**-0.100 [-0.150, -0.050]**"
    assert f"| `clip` | 0.800 ±0.050 | {less} | 0.500 ±0.050 | {less} | 0.870 ±0.050 | {less} | 80 | 1.04 |" in lines
    assert {line.count("|") for line in lines} == {10} and len(lines) == 2 + len(results["variants"])


def test_the_grid(results):
    lines = methods_page.grid(results).splitlines()
    assert "| 0 iterations, tau adaptive | 0.800 / 0.500 | 0.900 / 0.600 | 0.800 / 0.500 |" in lines
    assert len(lines) == 2 + 2 + 9


def test_the_verdict_names_what_is_better_and_what_is_cheaper(results):
    said = methods_page.verdict(results)
    assert "- mIoU: best is `gem` with 0.600; better than shipped beyond chance: none." in said
    assert "- cheaper beyond chance, and in none of the three worse beyond chance: none." in said
    other = results["variants"]["clip"]
    other |= {"miou": [0.7, 0.6, 0.8], "less": all_three(0.1, -0.01, 0.2)}
    other["times"] = [0.9, 0.8, 1.01]
    said = methods_page.verdict(results)
    assert "best is `clip` with 0.700, +0.100 [-0.010, +0.200] to what is shipped; better than shipped beyond" in said
    assert "beyond chance: none." in said and "worse beyond chance: `clip`." in said
    other["less"] = {**other["less"], "miou": [0.1, 0.01, 0.2], "auroc": [-0.1, -0.2, -0.01]}
    said = methods_page.verdict(results)
    assert "**+0.100 [+0.010, +0.200]** to what is shipped; better than shipped beyond chance: `clip`." in said
    assert "worse beyond chance: none." in said


def test_trends(results):
    lines = methods_page.trends(results).splitlines()
    step = "0.500 → 0.600 (**+0.100 [+0.050, +0.150]**)"
    assert f"| clip_surgery | gem | 41.2 → 46.2, 30.5 → 32.6 | {step} | agrees |" in lines
    said = {line.split("|")[1].strip(): line for line in lines if line.startswith("| iterations")}
    assert said["iterations 3"].endswith("| **differs** |")
    assert said["iterations 2"].endswith("| the paper's two differ |")
    (pamr,) = (line for line in lines if "PAMR" in line)
    assert pamr.endswith("| 0.500 → 0.720 (+0.100 [-0.020, +0.200]) | within chance |")
    assert "| `maskclip` | 42.1 → 42.4 (0.99 times) | 1.04 | **differs** |" in lines
    assert f"| `{methods_page.PAPERS}` | 42.1 → 37.2 (1.13 times) | 1.04 | agrees |" in lines


def test_the_page_and_the_picture_are_made(results, tmp_path):
    results = json.loads(json.dumps(results))  # as it comes from the file
    text = methods_page.page(results)
    assert "7 held-out scenes at 384 px: 20 things in view, 50 absent." in text and "nan" not in text
    assert "| `naclip` | 0.500 ±0.100 | 0.700 ±0.100 | 0.650 ±0.050 | 0.720 ±0.020 |" in text
    methods_page.draw(results, tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 10_000
