"""Bytes chosen by what they reach in gem_ros: ``python cover.py TARGET CORPUS [libFuzzer's options]`` (atheris)."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gem_ros"]):
    from targets import TARGETS

from seeds import write

if __name__ == "__main__":
    name, corpus, *options = sys.argv[1:]
    write(name, Path(corpus))
    atheris.Setup([sys.argv[0], corpus, *options], TARGETS[name])
    atheris.Fuzz()
