# shellcheck shell=bash
# Sourced by demo.sh and test.sh: one virtual environment with everything, made once.
#
#   GEM_ROS_VENV    where it lies (default: .venv in the checkout)
#   GEM_ROS_PYTHON  which Python makes it (default: the first suitable one on PATH)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${GEM_ROS_VENV:-$ROOT/.venv}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename "$0"): $*"
  exit 2
}

# A sourced ROS 2 and the wheels of the environment would load each other's libraries, so only the wheels are used.
leave_other_ros() {
  if [[ -n ${ROS_DISTRO:-} ]]; then
    say "ROS 2 $ROS_DISTRO is sourced here; this script uses ROS 2 wheels of its own (docs/installation.md: your own ROS 2)"
  fi
  local kept=() part parts
  IFS=: read -ra parts <<<"${LD_LIBRARY_PATH:-}"
  for part in "${parts[@]}"; do
    case $part in
      '' | /opt/ros/* | */site-packages/ros_*.libs) ;;
      *) kept+=("$part") ;;
    esac
  done
  LD_LIBRARY_PATH=$(IFS=: && printf '%s' "${kept[*]-}")
  if [[ -n $LD_LIBRARY_PATH ]]; then export LD_LIBRARY_PATH; else unset LD_LIBRARY_PATH; fi
  unset _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH COLCON_PREFIX_PATH
  unset ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION
}

# What the script starts is heard on this machine only, and by no other script that runs here.
isolate_ros() {
  export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-$((1 + $$ % 100))}
  export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
  local profile=$ROOT/config/fastdds.xml
  if [[ -f $profile ]]; then
    export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$profile}
  fi
}

find_python() {
  local suits='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' name
  for name in ${GEM_ROS_PYTHON:-python3 python3.12 python3.13 python3.11 python3.10}; do
    if "$name" -c "$suits" >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  die "expected Python 3.10 to 3.13 with venv, found none;" \
    "install it (Ubuntu: apt install python3-venv) or set GEM_ROS_PYTHON"
}

# Names what is installed: when it changes, the environment is brought up to date.
fingerprint() {
  (cd "$ROOT" && cat setup.py setup.cfg constraints.txt gem_ros/__init__.py) |
    cat - <(printf '%s\n' "$ROOT" "$VENV") | sha256sum | cut -d' ' -f1
}

# Runs a long command with its output in a file; a dot every ten seconds says that it goes on.
with_patience() {
  local log=$1 status=0 ticker
  shift
  (while sleep 10; do printf . >&2; done) &
  ticker=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  printf '\n' >&2
  return "$status"
}

make_environment() {
  local stamp=$VENV/.gem_ros now python
  now=$(fingerprint)
  mkdir -p "$VENV" 2>/dev/null || die "expected a place for the environment, cannot write $VENV; set GEM_ROS_VENV"
  exec 9<"$ROOT/setup.py"  # two scripts at once: the second waits
  if command -v flock >/dev/null; then flock 9; fi
  if [[ ! -x $VENV/bin/gem-ros || ! -f $stamp || $(<"$stamp") != "$now" ]]; then
    if ! "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; then
      python=$(find_python)
      local fresh=()
      if [[ -f $VENV/pyvenv.cfg ]]; then fresh=(--clear); fi # one that broke, never a folder of something else
      "$python" -m venv "${fresh[@]}" "$VENV" || die "expected $python to make a virtual environment; see above"
    fi
    if [[ -f $stamp ]]; then
      say "Bringing $VENV up to date"
    else
      say "Installing PyTorch, open_clip and the ROS 2 wheels into $VENV (once; several minutes, about 6 GB)"
    fi
    if ! with_patience "$VENV/install.log" "$VENV/bin/python" -m pip install --disable-pip-version-check \
      --constraint "$ROOT/constraints.txt" --editable "${ROOT}[ros,sim,video,ray,dev]"; then
      tail -n 15 "$VENV/install.log" >&2
      die "pip could not install everything; all of its output is in $VENV/install.log"
    fi
    printf '%s' "$now" >"$stamp"
  fi
  exec 9>&-
}

# Pictures of the simulator are drawn without a screen: by EGL where there is one, else by OSMesa.
choose_renderer() {
  local loads='import ctypes, sys; ctypes.CDLL(sys.argv[1])'
  if [[ -z ${MUJOCO_GL:-} ]]; then
    if "$VENV/bin/python" -c "$loads" libEGL.so.1 >/dev/null 2>&1; then
      export MUJOCO_GL=egl
    elif "$VENV/bin/python" -c "$loads" libOSMesa.so.8 >/dev/null 2>&1; then
      export MUJOCO_GL=osmesa
    fi
  fi
}

leave_other_ros
make_environment
isolate_ros
choose_renderer
