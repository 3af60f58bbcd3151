#!/usr/bin/env bash
# Serves the MLflow UI, the Prefect UI and the Data Docs on this machine only, until Ctrl-C.
set -euo pipefail
case "${1-}" in
  '') ;;
  -h | --help)
    cat <<'TEXT'
usage: bash infra/ui.sh

Serves the MLflow UI, the Prefect UI and the Data Docs of this checkout on 127.0.0.1 until you press Ctrl-C. Run
'bash infra/demo.sh' first. The ports are 5000, 4200 and 8800; LW_MLFLOW_PORT, LW_PREFECT_PORT and LW_DOCS_PORT
name others. Logs: .lw/logs/ui-*.log.
TEXT
    exit 0
    ;;
  *) echo "ui: unknown word $1: only --help is allowed; LW_MLFLOW_PORT, LW_PREFECT_PORT and LW_DOCS_PORT set the ports" >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -f .lw/mlflow.db ]; then
  if [ -f .lw/quick/.lw/mlflow.db ]; then
    echo "ui: only a quick run is here: bash .lw/quick/infra/ui.sh shows it" >&2
  else
    echo "ui: nothing to show yet, .lw/mlflow.db is missing: run 'bash infra/demo.sh' first." >&2
  fi
  exit 2
fi
# shellcheck source=infra/setup.sh
. infra/setup.sh base

mlflow_port=${LW_MLFLOW_PORT:-5000} prefect_port=${LW_PREFECT_PORT:-4200} docs_port=${LW_DOCS_PORT:-8800}
mlflow_url=http://127.0.0.1:$mlflow_port prefect_url=http://127.0.0.1:$prefect_port docs_url=http://127.0.0.1:$docs_port

python - "$mlflow_port" "the MLflow UI" LW_MLFLOW_PORT "$prefect_port" "the Prefect UI" LW_PREFECT_PORT \
  "$docs_port" "the Data Docs" LW_DOCS_PORT <<'PYTHON' || exit 2
import socket
import sys

held = []  # keeps all three open, so that a port that was given twice is noticed
for port, use, variable in zip(*[iter(sys.argv[1:])] * 3):
    held.append(socket.socket())
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held[-1].bind(("127.0.0.1", int(port)))
        held[-1].listen()
    except (OSError, OverflowError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a port number"
        sys.exit(f"ui: cannot serve {use} on port {port} ({why}): set {variable} to a free port.")
PYTHON

groups=()
stop() {
  trap '' INT TERM HUP
  local group tries
  for group in "${groups[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${groups[@]}"; do
    for ((tries = 0; tries < 100; tries++)); do
      kill -0 -- "-$group" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$group" 2>/dev/null || true
  done
}

start() { # NAME COMMAND...: in a process group of its own, so that its children can be stopped with it
  local log=.lw/logs/ui-$1.log
  shift
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  set +m
  groups+=($!)
}

fail() { # NAME WHAT
  echo "ui: $2; the end of .lw/logs/ui-$1.log:" >&2
  tail -n 15 ".lw/logs/ui-$1.log" >&2
  exit 1
}

wait_for() { # NAME PROCESS URL
  local end=$((SECONDS + 90))
  until python - "$3" 2>/dev/null <<'PYTHON'; do
import sys
import urllib.error
import urllib.request

try:  # without a proxy, because the address is on this machine
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=5)
except urllib.error.HTTPError as error:
    sys.exit(error.code != 404)  # Data Docs: no page yet
PYTHON
    kill -0 "$2" 2>/dev/null || fail "$1" "$1 ended before it answered"
    [ "$SECONDS" -lt "$end" ] || fail "$1" "$1 did not answer within 90 s"
    sleep 0.5
  done
}

mkdir -p .lw/logs .lw/data_docs
trap stop EXIT
trap 'echo "ui: stopping"; exit 0' INT TERM HUP

# Each server is behind a door that refuses requests of other web pages (src/longwriter/web/door.py).
start mlflow python -m longwriter.web.door mlflow "$mlflow_port"
start prefect python -m longwriter.web.door prefect "$prefect_port"
start docs python -m longwriter.web.door docs "$docs_port"

echo "ui: starting, logs are .lw/logs/ui-*.log"
wait_for mlflow "${groups[0]}" "$mlflow_url/health"
wait_for prefect "${groups[1]}" "$prefect_url/api/health"
wait_for docs "${groups[2]}" "$docs_url/"
echo "ui: MLflow     $mlflow_url"
echo "ui: Prefect    $prefect_url"
echo "ui: Data Docs  $docs_url"
if [ "$mlflow_port $prefect_port $docs_port" != "5000 4200 8800" ]; then
  echo "ui: links that runs have already written lead to the ports 5000, 4200 and 8800; for new links:"
  echo "ui: export LW_MLFLOW_UI=$mlflow_url LW_PREFECT_UI=$prefect_url LW_DOCS_UI=$docs_url"
fi
echo "ui: Ctrl-C stops all three"

names=(mlflow prefect docs)
while true; do
  for i in 0 1 2; do
    kill -0 "${groups[i]}" 2>/dev/null || fail "${names[i]}" "${names[i]} ended, so the others are stopped"
  done
  sleep 1
done
