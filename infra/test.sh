#!/usr/bin/env bash
# Sets everything up and runs every check; arguments go to pytest.
for word; do
  case "$word" in
    -h | --help)
      cat <<'TEXT'
usage: bash infra/test.sh [ARGUMENT ...]

Installs everything into .venv, the test tools too, and runs lint, types and all tests: about 9 minutes on 2 cores.
It ends with the exit code of the check that failed. Each ARGUMENT goes to pytest ('pytest --help' lists them):
  bash infra/test.sh tests/unit/text -k count    lint, types, and the tests of one folder whose names hold "count"
  bash infra/test.sh -m services                 with tests that need a browser or a server: about 20 minutes
TEXT
      exit 0
      ;;
  esac
done
# shellcheck source=infra/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh" dev

step() {
  local start=$SECONDS
  echo "test: $*"
  "$@" || {
    local code=$?
    echo "test: $* failed after $((SECONDS - start)) s" >&2
    exit "$code"
  }
  echo "test: $* passed in $((SECONDS - start)) s"
}

types=.lw/logs/mypy.log # mypy runs beside the tests, which often wait
mkdir -p .lw/logs
mypy >"$types" 2>&1 &
mypy=$!
trap 'kill "$mypy" 2>/dev/null || true' EXIT # the last command of a trap would set the exit code
step ruff check .
step ruff format --check .
step shellcheck infra/*.sh infra/services/*.sh infra/cluster/train.sh infra/cluster/slurm.sbatch
step lint-imports
echo "test: pytest $*"
code=0
pytest -n 5 --dist loadfile --no-loadscope-reorder "$@" || code=$? # tests/conftest.py has the order
wait "$mypy" || code=$?
echo "test: mypy: $(cat "$types")"
echo "test: ended with exit code $code after $SECONDS s, set-up included"
exit "$code"
