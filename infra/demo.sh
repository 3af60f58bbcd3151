#!/usr/bin/env bash
# Sets everything up and runs the pipeline; arguments go to `python -m flows`.
case "${1:-}" in
  -h | --help)
    cat <<'TEXT'
usage: bash infra/demo.sh [NAME ...]

Installs everything into .venv and runs the pipeline of params.yaml: half an hour on 2 cores, no GPU, no API key.
A second run repeats only what changed. Exit codes: infra/README.md.

NAME is a group (data, training, benchmark), a stage (sft), or an item of a matrix stage (generate@sft-small):
  bash infra/demo.sh data          only makes the data set: about 6 minutes on 2 cores

Afterwards: bash infra/ui.sh shows MLflow, Prefect and Data Docs; `longwriter serve` (after `source
.venv/bin/activate`) lets you talk to the trained models.
TEXT
    exit 0
    ;;
esac
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
