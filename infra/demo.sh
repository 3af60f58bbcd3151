#!/usr/bin/env bash
# Sets everything up and runs the pipeline; arguments go to `python -m flows`.
# shellcheck source=infra/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh" base

# The pipeline gets its own process group: a signal to this script is passed on to the pipeline and all
# its child processes.
set -m
python -m flows "$@" &
pipeline=$!
set +m
trap 'kill -INT -- "-$pipeline" 2>/dev/null' INT
trap 'kill -TERM -- "-$pipeline" 2>/dev/null' TERM HUP

code=0
while true; do
  wait "$pipeline" && code=0 || code=$?
  kill -0 "$pipeline" 2>/dev/null || break # else a signal ended `wait`, not the pipeline
done
kill -TERM -- "-$pipeline" 2>/dev/null || true # child processes that still run
echo "demo: ended with exit code $code after $SECONDS s, set-up included"
exit "$code"
