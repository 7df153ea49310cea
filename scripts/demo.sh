#!/usr/bin/env bash
# Runs the real node on the sample recording; pictures, a video and numbers are in demo_output/ afterwards.
# Options are those of `gem-ros demo`.
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
exec "$VENV/bin/gem-ros" demo "$@"
