#!/usr/bin/env bash
# Checks style and types and runs the tests: the quick lane, with how much of the code it reaches, or what pytest's own
# options say (`-m slow`, `-k camera`, `test/unit/test_camera.py`, ...).
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
cd "$ROOT"
step() {
  say "== $1"
  shift
  "$VENV/bin/python" -m "$@"
}
step "style" ruff check --quiet
step "format" ruff format --check --quiet
step "types" mypy --no-error-summary
if [[ $# -gt 0 ]]; then
  step "tests" pytest -m "not slow and not gpu" "$@"
  exit
fi
"$VENV/bin/python" -m coverage erase
step "tests" coverage run -m pytest -m "not slow and not gpu"
"$VENV/bin/python" -m coverage combine --quiet
"$VENV/bin/python" -m coverage json --quiet -o coverage.json
say "== coverage"
"$VENV/bin/python" scripts/check_coverage.py coverage.json
