#!/usr/bin/env bash
# Runs training stages on the nodes in .lw/hosts, from one of them; slurm.sbatch and kubernetes.yaml start it.
# Run: bash infra/cluster/train.sh [STAGE ...]
#
# SIGTERM, as a cluster sends it before it takes a node away, has the ranks save the step that they are in. The
# stage then ends with exit code 75, and this script with it: start it again, and the training goes on.
set -euo pipefail
for word; do
  case "$word" in
    -h | --help)
      cat <<'TEXT'
usage: bash infra/cluster/train.sh [STAGE ...]

Runs training stages (sft, if none is named) on the nodes in .lw/hosts, from one of them. infra/README.md says
what several nodes need.
TEXT
      exit 0
      ;;
    -*) echo "train: unknown option $word: allowed are --help and stages of dvc.yaml, such as sft" >&2 && exit 2 ;;
  esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$#" -gt 0 ] || set -- sft

if ! grep -q '^  hostfile: .lw/hosts' params.yaml; then
  echo "train: set training.hostfile to .lw/hosts in params.yaml" >&2
  exit 2
fi

was_stopped=
# shellcheck disable=SC2329 # the trap below calls it
save_and_leave() {
  was_stopped=yes
  for running in .lw/checkpoints/*/running; do
    if [ -e "$running" ]; then touch "${running%running}stop"; fi
  done
}
trap save_and_leave TERM

dvc repro --single-item "$@" &
dvc=$!
code=0
wait "$dvc" || code=$?
while kill -0 "$dvc" 2>/dev/null; do # a signal has ended `wait`, and not the command
  code=0
  wait "$dvc" || code=$?
done
if [ -n "$was_stopped" ] && [ "$code" -ne 0 ]; then code=75; fi
exit "$code"
