#!/usr/bin/env bash
# Sets everything up and runs the pipeline; arguments go to `python -m flows`.
help() {
  cat <<'TEXT'
usage: bash infra/demo.sh [--quick] [NAME ...]

Installs everything into .venv and runs the pipeline of params.yaml: about 20 minutes on 2 idle cores, no GPU, no API key.
A second run repeats only what changed. Exit codes: infra/README.md.

--quick runs every stage with eight short texts, one or two steps of training and three benchmark prompts
(infra/quick/params.yaml): about five minutes on 2 idle cores. It works in .lw/quick, a clone of the last commit,
so your params.yaml, dvc.lock and data/ stay as they are, and the next --quick undoes changes that you made there.

NAME is a group (data, training, benchmark), a stage (sft), or an item of a matrix stage (generate@sft-small):
  bash infra/demo.sh data          only makes the data set: about 4 minutes on 2 cores

Afterwards: bash infra/ui.sh shows MLflow, Prefect and Data Docs; `longwriter serve` (after `source
.venv/bin/activate`) lets you talk to the trained models.
TEXT
  exit 0
}

refuse() { # WORD
  case "$1" in
    *[Qq]uick*) echo "demo: unknown word $1: did you mean 'bash infra/demo.sh --quick'?" >&2 ;;
    *) echo "demo: unknown word $1: allowed are a group (data, training, benchmark), a stage of dvc.yaml (such as sft)," \
      "an item of a matrix stage (generate@sft-small), --quick, --set KEY=VALUE, --dry-run and --share" >&2 ;;
  esac
  exit 2
}

# Words are checked before the set-up, which can take minutes.
is_quick='' before=''
for word; do
  shift
  case "$before $word" in
    "--set "*) ;; # its value, which the flows check
    *" -h" | *" --help") help ;;
    *" --quick") is_quick=1 && continue ;;
    *" --set" | *" --set="* | *" --dry-run" | *" --share") ;;
    *) grep -qxF -e "  ${word%%@*}:" -e "    meta: {group: $word}" "$(dirname "${BASH_SOURCE[0]}")/../dvc.yaml" || refuse "$word" ;;
  esac
  before=$word
  set -- "$@" "$word"
done
# shellcheck source=infra/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh" base

if [ -n "$is_quick" ]; then
  place=.lw/quick
  commit=$(git rev-parse --verify --short HEAD) || lw_die "--quick clones the last commit, and this folder has none: make one, or run the whole demo."
  [ -d "$place/.git" ] || git clone --quiet --no-checkout . "$place"
  git -C "$place" fetch --quiet origin HEAD
  [ ! -f "$place/dvc.lock" ] || cp "$place/dvc.lock" "$place/.git/dvc.lock" # what the quick run before this one did
  git -C "$place" reset --quiet --hard FETCH_HEAD
  rm -f "$place/dvc.lock" # of the whole demo, whose stages are no use here: DVC would read and write them with each stage
  [ ! -f "$place/.git/dvc.lock" ] || cp "$place/.git/dvc.lock" "$place/dvc.lock"
  mkdir -p .lw/downloads "$place/.lw"
  ln -sfn "$PWD/.venv" "$place/.venv" # setup.sh installs nothing through a link
  ln -sfn "$PWD/.lw/downloads" "$place/.lw/downloads"
  [ -f "$place/.lw/seconds.json" ] || cp "$place/infra/quick/seconds.json" "$place/.lw/"
  cd "$place"
  longwriter profile apply infra/quick/params.yaml >/dev/null
  exec env -u MLFLOW_TRACKING_URI -u PREFECT_API_URL PREFECT_HOME="$PWD/.lw/prefect" LW_QUICK="$commit" bash infra/demo.sh "$@"
fi

if [ -n "${LW_QUICK:-}" ]; then
  echo "demo: the quick run of commit $LW_QUICK, in $PWD: about five minutes on 2 idle cores
demo: every stage runs, with eight short texts, a few preference pairs, one or two steps of training and three
demo: benchmark prompts; it shows how the parts work together, and not what the method or a model is worth:
demo: its numbers are chance"
else
  echo "demo: runs the stages of dvc.yaml by params.yaml: an LLM plans and writes texts, gates check them, a model is
demo: trained on them (SFT, DPO) and compared on a benchmark. As committed: about 20 minutes on 2 idle cores, with an embedded
demo: 135M model."
fi
echo "demo: each stage is announced with the minutes that are left; all its lines are in .lw/logs/
demo: to watch MLflow and Prefect meanwhile: bash $PWD/infra/ui.sh"

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
if [ "$code" != 0 ]; then
  echo "demo: the run did not reach its end; the same command goes on where it stopped"
elif [ -n "${LW_QUICK:-}" ]; then
  echo "demo: this was a quick run: its numbers are chance, its models have hardly learned anything. Run the whole demo
demo: (bash infra/demo.sh in your checkout) for numbers that mean something."
fi
if [ -n "${LW_QUICK:-}" ]; then
  echo "demo: this run is in a folder of its own, where commands see it only after: cd $PWD
demo: to remove it: rm -rf $PWD"
fi
echo "demo: ended with exit code $code after $SECONDS s, set-up included"
exit "$code"
