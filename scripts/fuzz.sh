#!/usr/bin/env bash
# Lets atheris choose bytes for everything that reads bytes (test/fuzz/targets.py): `scripts/fuzz.sh [seconds] [target]...`,
# 60 s each without a number. What was found interesting stays in $GEM_ROS_CORPUS (default: ~/.cache/gem_ros/fuzz),
# outside of the checkout; a file crash-... there is an input that failed. Exits 1 if anything did.
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
SECONDS_EACH=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  SECONDS_EACH=$1
  shift
fi
"$VENV/bin/python" -c 'import atheris' 2>/dev/null ||
  die "expected atheris, found none; $VENV/bin/pip install '$ROOT[fuzz]' (Python 3.11 or newer on Linux)"
CORPUS=${GEM_ROS_CORPUS:-${XDG_CACHE_HOME:-$HOME/.cache}/gem_ros/fuzz}
mkdir -p "$CORPUS"
export PYTHONPATH=$ROOT
if (($# == 0)); then
  mapfile -t names < <("$VENV/bin/python" -c 'import sys; sys.path.insert(0, sys.argv[1]); from targets import TARGETS; print(*TARGETS, sep="\n")' "$ROOT/test/fuzz")
  set -- "${names[@]}"
fi
failed=0
for name; do
  say "== $name, $SECONDS_EACH s"
  nice -n 5 "$VENV/bin/python" "$ROOT/test/fuzz/cover.py" "$name" "$CORPUS/$name" -max_total_time="$SECONDS_EACH" \
    -timeout=10 -rss_limit_mb=4096 -max_len=4096 -print_final_stats=1 -artifact_prefix="$CORPUS/$name-" \
    >"$CORPUS/$name.log" 2>&1 || {
    failed=1
    say "$name: failed; see $CORPUS/$name.log"
  }
  grep -E '^stat::number_of_executed_units|^ *=== |Error|assert' "$CORPUS/$name.log" >&2 || true
done
exit "$failed"
