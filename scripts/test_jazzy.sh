#!/usr/bin/env bash
# The node's tests over DDS once more, on ROS 2 Jazzy: its wheels lie in an environment of their own (.venv-jazzy beside
# .venv), which takes everything else from that of test.sh. Options are pytest's.
set -euo pipefail
# shellcheck source=scripts/_environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/_environment.sh"
cd "$ROOT"
JAZZY=$VENV-jazzy
TESTS=(
  test/integration/test_{grounding_node,grounding_process,cameras,target_frame,player}.py
  test/unit/test_{node,sros2_policy,worker,worker_cameras,worker_threads}.py
)

make_jazzy() {
  local stamp=$JAZZY/.gem_ros now main
  now=$(cat requirements-jazzy.txt "$VENV/.gem_ros" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
  if [[ -f $stamp && $(<"$stamp") == "$now" ]]; then return; fi
  say "Installing the wheels of ROS 2 Jazzy into $JAZZY (once; 170 MB)"
  main=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  leave_other_ros # what Kilted's wheels tell the processes that they start
  "$VENV/bin/python" -m venv --clear --without-pip "$JAZZY"
  with_patience "$VENV/jazzy.log" "$VENV/bin/python" -m pip --python "$JAZZY/bin/python" install \
    --disable-pip-version-check --no-deps --requirement requirements-jazzy.txt ||
    die "pip could not install the wheels; all of its output is in $VENV/jazzy.log"
  # Behind its own folder, so that its own rclpy is found first; what the other's .pth files do is not done.
  printf '%s\n' "$ROOT" "$main" >"${main/#"$VENV"/"$JAZZY"}/gem_ros_and_the_rest.pth"
  printf '%s' "$now" >"$stamp"
}

make_jazzy
leave_other_ros
unset FASTDDS_DEFAULT_PROFILES_FILE # Fast DDS 3's; Jazzy has Fast DDS 2
export ROS_DISTRO=jazzy FASTRTPS_DEFAULT_PROFILES_FILE=$ROOT/config/fastdds.xml
found=$("$JAZZY/bin/python" -c 'import importlib.metadata as m; print(m.version("ros-rclpy"))')
say "== tests on ROS 2 Jazzy, rclpy $found"
if [[ $# == 0 ]]; then set -- "${TESTS[@]}"; fi
exec "$JAZZY/bin/python" -m pytest -m "not slow and not gpu" "$@"
