# shellcheck shell=bash
# Sourced by demo.sh, test.sh and ui.sh: `. infra/setup.sh base` or `. infra/setup.sh dev` (with the test tools).
# Makes .venv from infra/constraints.txt, once, and sets the environment of everything that runs here.
case "${1:-}" in
  -h | --help)
    cat <<'TEXT'
usage: bash infra/setup.sh base    installs what the pipeline needs into .venv
       bash infra/setup.sh dev     the test tools too

It installs only what is missing or has changed. demo.sh, test.sh and ui.sh run it by themselves.
TEXT
    exit 0
    ;;
  base | dev) ;;
  *) echo "setup: unknown word '${1:-}': allowed are base, dev and --help" >&2 && exit 2 ;;
esac
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cd "$(pwd -P)" # the scripts of .venv contain the real path

lw_die() {
  echo "setup: $*" >&2
  exit 1
}

# Runs in a subshell: `exit` releases the lock, and the functions below do not exist in the caller.
lw_setup() (
  extra=$1
  log=.lw/logs/setup.log
  stamp=.venv/lw-setup
  trap 'exit 130' INT

  has_nvidia_driver() { [ -e /proc/driver/nvidia ] || nvidia-smi >/dev/null 2>&1; }

  key() { # hash of everything that decides what .venv holds; empty if its Python does not run
    { cat infra/constraints.txt pyproject.toml && echo "$PWD $device"; } | .venv/bin/python -c \
      'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' 2>/dev/null || true
  }

  is_done() {
    local key stamp_text
    key=$(key)
    stamp_text=$(cat "$stamp" 2>/dev/null) || return 1
    [ -n "$key" ] && { [ "$stamp_text" = "$key dev" ] || [ "$stamp_text" = "$key $extra" ]; }
  }

  is_venv_sound() { # a copied .venv still has scripts that start the old one
    head -n 3 .venv/bin/pip 2>/dev/null | grep -qF "$PWD/.venv/bin/python" &&
      .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
  }

  find_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.11 python3.12 python3; fi
    for name; do
      if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$name"
        return
      fi
    done
    lw_die "${PYTHON:-python3} is not Python 3.11 or newer with its venv module:" \
      "install one (Debian: apt install python3 python3-venv) or name one, as in PYTHON=/path/to/python3.11."
  }

  check_disk() { # GiB
    local free
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$1" ] || lw_die "only $free GiB of disk are free here, the installation needs $1: make room and run it again."
  }

  run_pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

  hand_on() { # PIP_SETTING UV_VARIABLE SEPARATOR: gives uv a setting of pip's environment or configuration
    local section setting value='' words
    [ -z "${!2:-}" ] || return 0
    for section in global install :env:; do # the last one wins, as in pip
      setting=$(sed -n "s/^$section\.$1='\(.*\)'\$/\1/p" <<<"$pip_settings")
      value=${setting:-$value}
    done
    read -ra words <<<"${value//\\n/ }"
    [ -z "$value" ] || export "$2=$(IFS=$3 && echo "${words[*]}")"
  }

  prepare_uv() { # pip installs uv; uv installs the rest in a tenth of pip's time, from the same sources
    local pip_settings
    run_pip install -c infra/constraints.txt uv >>"$log" 2>&1 || {
      tail -n 15 "$log" >&2
      lw_die "pip could not install uv (the end of its output is above, all of it in $log): fix that and run it again."
    }
    pip_settings=$(run_pip config list)
    hand_on index-url UV_DEFAULT_INDEX ' '
    hand_on extra-index-url UV_INDEX ' '
    hand_on find-links UV_FIND_LINKS ,
    hand_on trusted-host UV_INSECURE_HOST ' '
    hand_on cert SSL_CERT_FILE ' '
    export UV_INDEX_STRATEGY=unsafe-best-match UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
  }

  try_install() { .venv/bin/uv pip install --python .venv/bin/python -c infra/constraints.txt "$@" >>"$log" 2>&1; }

  install() {
    local what=$1 start=$SECONDS
    shift
    echo "setup: installing $what"
    if ! try_install "$@"; then
      tail -n 15 "$log" >&2
      lw_die "could not install $what (the end of uv's output is above, all of it in $log): fix that and run it again; what is installed is kept."
    fi
    echo "setup: installed $what in $((SECONDS - start)) s"
  }

  install_torch() {
    local version installed start=$SECONDS
    version=$(sed -n 's/^torch==//p' infra/constraints.txt)
    installed=$(.venv/bin/python -c 'from importlib import metadata; print(metadata.version("torch"))' 2>/dev/null) || true
    case "$device $installed" in
      "cuda $version+cpu") ;; # the machine has got a GPU since then
      *" $version" | *" $version+"*) return ;;
    esac
    if [ "$device" = cuda ]; then
      # `===` excludes the +cpu build, which uv would prefer if an index of the configuration has it.
      install "torch $version for CUDA" --no-deps "torch===$version"
    elif [ "$device" = macos ]; then
      install "torch $version" --no-deps "torch==$version"
    else
      echo "setup: no NVIDIA driver: installing torch $version for the CPU"
      if try_install --no-deps "torch==$version+cpu"; then
        echo "setup: installed it from pip's own configuration in $((SECONDS - start)) s"
      elif try_install --no-deps --default-index https://download.pytorch.org/whl/cpu "torch==$version+cpu"; then
        echo "setup: installed it from download.pytorch.org in $((SECONDS - start)) s"
      else
        echo "setup: found no CPU build, taking the default one: its CUDA libraries are about 2.7 GB to download"
        check_disk 12
        install "torch $version (default build)" --no-deps "torch===$version"
      fi
    fi
  }

  case "$(uname -s)" in
    Linux) if has_nvidia_driver; then device=cuda; else device=cpu; fi ;;
    Darwin) device=macos ;;
    *) lw_die "this is $(uname -s), only Linux and macOS are supported: use one of them, or WSL on Windows." ;;
  esac
  for tool in git gcc; do
    command -v "$tool" >/dev/null ||
      lw_die "$tool is missing: install it (Debian: apt install $tool, macOS: xcode-select --install) and run it again."
  done
  if is_done; then
    echo "setup: set up already"
    exit
  fi

  mkdir -p .lw/logs
  if command -v flock >/dev/null; then
    exec 9>.lw/setup.lock
    flock -n 9 || {
      echo "setup: another set-up is under way here, waiting for it"
      flock 9
    }
    if is_done; then
      echo "setup: set up already"
      exit
    fi
  fi

  begin=$SECONDS
  : >"$log"
  if ! is_venv_sound; then
    python=$(find_python)
    if [ "$device" = cuda ]; then check_disk 12; else check_disk 6; fi
    echo "setup: making .venv with $("$python" --version); this takes a minute or more, its log is $log"
    "$python" -m venv --clear .venv >>"$log" 2>&1 || lw_die "$python could not make .venv: see $log."
  fi
  rm -f "$stamp"
  prepare_uv
  install_torch
  if [ "$extra" = dev ]; then target='.[dev]'; else target=.; fi
  install "everything else" -e "$target"
  echo "$(key) $extra" >"$stamp"
  echo "setup: done in $((SECONDS - begin)) s"
)

if [ -L .venv ]; then echo "setup: uses $(readlink .venv)"; else lw_setup "$1"; fi

export PATH="$PWD/.venv/bin:$PATH" VIRTUAL_ENV="$PWD/.venv"
if [ -L .venv ]; then export PYTHONPATH="$PWD/src"; fi # of `demo.sh --quick`: its own code, with the packages of its checkout
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true
export DVC_NO_ANALYTICS=1 GX_ANALYTICS_ENABLED=false HF_HUB_DISABLE_TELEMETRY=1
export PREFECT_HOME="${PREFECT_HOME:-$PWD/.lw/prefect}"
if [ -x /bin/bash ]; then export SHELL=/bin/bash; fi # DVC runs stages with $SHELL
# uv leaves bytecode to the first import. Where this variable forbids to write it, each stage compiles 2,000
# modules again: 11 CPU seconds instead of 4, and a rank 18 instead of 8.
unset PYTHONDONTWRITEBYTECODE
