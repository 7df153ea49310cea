#!/usr/bin/env bash
# Checks style and types and runs the tests: the quick lane, or what pytest's own options say
# (`-m slow`, `-k camera`, `test/unit/test_camera.py`, ...).
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
step "tests" pytest -m "not slow and not gpu" "$@"
