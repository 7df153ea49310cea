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
# On all cores; what talks over DDS comes after that, one by one: two nodes at once would measure each other.
tests() {
  local quick="not slow and not gpu"
  if (($#)); then
    step "tests" "${pytest[@]}" -m "$quick" "$@"
    return
  fi
  local failed=0
  OMP_NUM_THREADS=1 step "tests without DDS" "${pytest[@]}" -n "$(nproc)" -m "$quick and not dds" || failed=1
  step "tests over DDS" "${pytest[@]}" -m "$quick and dds" || failed=1
  return $failed
}
step "style" ruff check --quiet
step "format" ruff format --check --quiet
step "types" mypy --no-error-summary
if [[ -z ${GEM_ROS_COVERAGE:-} ]]; then
  pytest=(pytest)
  tests "$@"
  exit
fi
pytest=(coverage run -m pytest)
"$VENV/bin/python" -m coverage erase
tests "$@"
"$VENV/bin/python" -m coverage combine --quiet
"$VENV/bin/python" -m coverage json --quiet -o coverage.json
say "== coverage"
"$VENV/bin/python" scripts/check_coverage.py coverage.json
