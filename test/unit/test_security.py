"""What must not be in the package, held by its syntax: no code out of data, no shell, no file that runs when read."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gem_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
BUILTINS = {"eval", "exec", "compile", "__import__"}
IMPORTS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "pty", "commands"}
CALLS = {
    *("os.system", "os.popen", "os.posix_spawn", "os.posix_spawnp", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "torch.jit.load", "torch.hub.load"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "tempfile.mktemp", "pandas.read_pickle"),
}
LOOKED_FOR = ("os.exec", "os.spawn")  # with any ending


def findings(source):
    """Lines that run what they read, or could."""
    tree = ast.parse(source)
    names = {}  # as they are called here -> as they are called at home
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                each.asname or each.name.split(".")[0]: each.name if each.asname else each.name.split(".")[0]
                for each in node.names
            }
            yield from (
                f"{node.lineno}: imports {each.name}" for each in node.names if each.name.split(".")[0] in IMPORTS
            )
        elif isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
            if (node.module or "").split(".")[0] in IMPORTS:
                yield f"{node.lineno}: imports {node.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {each}" for each in wrong(node, dotted(node.func, names)))


def dotted(node, names):
    """``np.load`` -> ``numpy.load``; empty for what is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


def wrong(call, name):
    given = {each.arg: each.value.value if isinstance(each.value, ast.Constant) else ... for each in call.keywords}
    if name in BUILTINS or name in CALLS or name.startswith(LOOKED_FOR):
        yield name
    if given.get("shell", False) is not False:
        yield f"{name} with a shell"
    if name.endswith("torch.load") and given.get("weights_only") is not True:
        yield "torch.load without weights_only=True"
    if name.endswith("open_clip.create_model") and "pretrained" in given and given.get("weights_only") is not True:
        yield "open_clip.create_model without weights_only=True"
    if name.endswith("numpy.load") and given.get("allow_pickle", False) is not False:
        yield "numpy.load with pickles"
    if name.endswith(("jinja2.Environment", "jinja2.Template")) and given.get("autoescape") is not True:
        yield "jinja2 without escaping"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_runs_what_it_reads(path):
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text)",
        "compile(text, '', 'exec')",
        "import pickle",
        "from cloudpickle import loads",
        "import os; os.system('ls')",
        "from os import system as run; run('ls')",
        "import os; os.execv(path, [])",
        "import subprocess; subprocess.run('ls', shell=True)",
        "import subprocess; subprocess.run('ls', shell=wanted)",
        "import yaml; yaml.load(text)",
        "import yaml; yaml.load(text, Loader=yaml.SafeLoader)",
        "import torch; torch.load(path)",
        "import torch; torch.load(path, weights_only=False)",
        "from torch import load; load(path)",
        "import torch; torch.jit.load(path)",
        "import open_clip; open_clip.create_model(name, pretrained=path)",
        "import numpy as np; np.load(path, allow_pickle=True)",
        "import tempfile; tempfile.mktemp()",
        "import jinja2; jinja2.Environment(loader=loader)",
    ],
)
def test_what_would_is_found(line):
    assert list(findings(line))


def test_what_is_safe_is_left_alone():
    safe = "import yaml, torch, numpy as np\nyaml.safe_load(text); torch.load(path, weights_only=True); np.load(path)\n"
    safe += "model.eval(); re.compile(text); subprocess.run(['ls'], check=False)"
    assert list(findings(safe)) == []


def test_only_charts_and_our_own_script_are_put_into_a_page_as_they_are():
    found = [
        line.strip()
        for page in PACKAGE.rglob("*.j2")
        for line in page.read_text(encoding="utf-8").splitlines()
        if "| safe" in line or "Markup" in line or "autoescape" in line
    ]
    assert len(found) == 3 and all("chart.svg | safe" in line or "script | safe" in line for line in found)
