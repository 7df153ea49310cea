"""What docs/reliability.md, docs/security.md and the quality declaration lean on exists: tests, files, headings."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/reliability.md", "docs/security.md", "QUALITY_DECLARATION.md")
TEST = re.compile(r"`(test/[\w/]+\.py)(?:::(\w+))?[^`]*`")


@cache
def named(file):
    """Names of a file's tests, those in classes too."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {each.name for each in functions if each.name.startswith("test_")}


def missing(text):
    """What a page names and is not there."""
    for file, name in TEST.findall(text):
        if not (ROOT / file).is_file():
            yield file
        elif name and name not in named(file):
            yield f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert TEST.findall(text) and list(missing(text)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        assert not path or ((ROOT / page).parent / path).exists(), target
        assert path or anchor in headings, target


def test_every_fault_has_a_reaction_and_a_test():
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    head, rows = rows[0], rows[2:]
    assert [each.strip() for each in head] == ["fault", "reaction", "test"] and len(rows) >= 7
    for row in rows:
        assert len(row) == 3 and all(each.strip() for each in row) and TEST.search(row[2]), row


def test_a_test_that_is_gone_is_found():
    assert list(missing("`test/unit/test_gone.py::test_it`")) == ["test/unit/test_gone.py"]
    here = "test/unit/test_reliability_docs.py"
    assert list(missing(f"`{here}::test_gone` `{here}::test_a_test_that_is_gone_is_found`")) == [f"{here}::test_gone"]
