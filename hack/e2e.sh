#!/usr/bin/env bash
# End-to-end tests on the real cluster; `make e2e`. Starts a cluster if there is
# none, and stops it again only then. Arguments go to go test, e.g. -run Rotate.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

stop_cluster() {
  step "cluster-down" cluster down
  finish
}

build_images
if cluster_is_up; then
  step "cluster is up already" true
else
  trap stop_cluster EXIT
  loud "bringing a cluster up" cluster up
fi
import_images
# The next version of the operator, for the upgrade: the same under another name.
next_image=$image-next
step "image of the next version" ensure_image "$next_image" Dockerfile
ensure_postgres
enforced=true
grep -q '"enforced": *false' <<<"$(cluster status -o json)" && enforced=false
KUBECONFIG=$(cluster kubeconfig) E2E_REPORT=$scratch/report E2E_POLICIES_ENFORCED=$enforced E2E_IMAGE=$image E2E_IMAGE_NEXT=$next_image E2E_SIMULATOR_IMAGE=$simulator_image \
  E2E_KUBECTL=$(cluster binaries --envtest)/kubectl \
  go test -tags e2e ./hack/e2e/... -count=1 -parallel 4 -timeout 45m "$@"
cat "$scratch/report"
