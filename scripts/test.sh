#!/usr/bin/env bash
# Checks style and types and runs the tests: the quick lane, or what pytest's own options say (`-m slow`, `-k camera`,
# `test/unit/test_camera.py`, ...). GEM_ROS_COVERAGE=1, as in CI: and how much of the code they reach, in twice the time.
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
if [[ -z ${GEM_ROS_COVERAGE:-} ]]; then
  step "tests" pytest -m "not slow and not gpu" "$@"
  exit
fi
"$VENV/bin/python" -m coverage erase
step "tests" coverage run -m pytest -m "not slow and not gpu" "$@"
"$VENV/bin/python" -m coverage combine --quiet
"$VENV/bin/python" -m coverage json --quiet -o coverage.json
say "== coverage"
"$VENV/bin/python" scripts/check_coverage.py coverage.json
