#!/usr/bin/env bash
# Sets everything up and runs every check; arguments go to pytest.
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

step ruff check .
step ruff format --check .
step mypy
step lint-imports
step shellcheck infra/*.sh
echo "test: pytest $*"
exec pytest -n 3 --dist loadfile --no-loadscope-reorder "$@" # tests/conftest.py has the order
