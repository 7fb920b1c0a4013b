#!/bin/sh
# Builds the cluster program when its source has changed, and runs it with the
# given arguments, in the caller's folder. Needs nothing but Go.
set -eu
BRIDGEKEEPER_CLUSTER_SOURCE=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
export BRIDGEKEEPER_CLUSTER_SOURCE
bin=${BRIDGEKEEPER_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bridgekeeper/bin}
mkdir -p "$bin"
(
	flock 9 # two runs at once must not execute a half-written file
	CGO_ENABLED=0 go build -C "$BRIDGEKEEPER_CLUSTER_SOURCE" -trimpath -o "$bin/cluster" .
) 9>"$bin/.cluster.lock"
exec "$bin/cluster" "$@"
