#!/usr/bin/env bash
# Makes everything that is generated. With --check it fails when that changes
# anything, and says what.
set -euo pipefail
cd "$(dirname "$0")/.."

tool() { go tool -modfile=hack/tools/go.mod "$@"; }
generated=(api config/crd/bases config/rbac/role.yaml bridge/store/rest/openapi.yaml
  config/prometheus/METRICS.md config/prometheus/rules.yaml config/prometheus/dashboard.json
  config/gitops config/helm)
before=
kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
state() { find "${generated[@]}" -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum; }
if [[ ${1:-} == --check ]]; then
  before=$(state)
  tar -cf "$kept" "${generated[@]}"
fi

tool controller-gen object paths=./api/... \
  crd:maxDescLen=2000 output:crd:dir=config/crd/bases \
  rbac:roleName=bridgekeeper-manager paths=./controllers/... output:rbac:dir=config/rbac
tool crd-ref-docs --config=hack/api-reference.yaml --source-path=api --renderer=markdown \
  --output-path=api/README.md --log-level=ERROR
go run ./bridge openapi > bridge/store/rest/openapi.yaml
go run ./hack/metrics > config/prometheus/METRICS.md
go run -C hack/observability . ../../config/prometheus
go run -C hack/gitops . ../../config
go run -C hack/helm . chart

if [[ ${1:-} == --check && $before != "$(state)" ]]; then
  echo "generated files are not up to date; run 'make generate' and commit:" >&2
  diff <(echo "$before") <(state) | sed -n 's/^> [0-9a-f]*  /  /p' >&2
  tar -xf "$kept" # a check changes nothing, or it would pass the second time
  exit 1
fi
