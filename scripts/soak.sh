#!/usr/bin/env bash
# Runs the real node for hours (`scripts/soak.sh MINUTES`, 60 by default) and fails where its memory, threads or files
# grow, or its answers stop; numbers and a plot are in runs/ afterwards. What else it can do: --help.
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
exec "$VENV/bin/python" -m gem_ros.benchmarks.soak "$@"
