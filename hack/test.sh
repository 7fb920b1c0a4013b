#!/usr/bin/env bash
# Everything that CI checks; `make test`. Cold it builds a Kubernetes first:
# under 45 minutes on two cores, warm under 20.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

table=()

# timed NAME COMMAND…: runs it in full view, stops at the first failure, and
# keeps the duration for the table at the end.
timed() {
  local name=$1 started=$SECONDS
  shift
  say
  say "=== $name"
  if ! "$@"; then
    say "=== $name FAILED after $((SECONDS - started)) s" >&2
    exit 1
  fi
  table+=("$(printf '%-16s %5d s' "$name" $((SECONDS - started)))")
}

timed binaries cluster binaries
timed postgres ensure_postgres
timed mailservers ensure_mailservers
timed generate-diff make -s generate-diff
timed lint make -s lint
timed unit make -s unit
timed faults go test -tags faults -timeout 45m -count 1 -parallel 6 ./hack/faults
timed netpol go -C hack/netpol test ./...
timed e2e hack/e2e.sh

say
say "Passed:"
printf '  %s\n' "${table[@]}"
printf '  %-16s %5d s\n' total "$SECONDS"
