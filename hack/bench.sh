#!/usr/bin/env bash
# Tables of throughput, latency, start-up and memory on this machine; `make
# bench`. Everything is measured in one run, since machines differ and are noisy.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

runs=10

say "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2/1048576}' /proc/meminfo), $(uname -sr), $(go env GOVERSION)"
say
say "store (SQLite, synchronous=FULL) and compiler"
go test -run '^$' -bench . -benchtime 3s ./bridge/store ./controllers/compile | grep -E '^Benchmark|msgs|FAIL'

make -s build
ensure_postgres
go run ./hack/bench

say
say "standalone: start of the process to the first answered request, $runs runs"

# Nothing is called outside: the platform is a closed port of this machine.
cat >"$scratch/bridge.yaml" <<'EOF'
apiVersion: bridgekeeper.dev/v1alpha1
kind: Bridge
metadata:
  name: default
spec:
  platformEndpoints:
    - platform: telegram
      url: http://127.0.0.1:9
EOF

# first_answer DIR: milliseconds until /healthz answers.
first_answer() {
  local port=$((20000 + RANDOM % 10000)) begin now
  begin=$(date +%s%N)
  bin/bridgekeeper standalone -f config/samples/quickstart -f "$scratch/bridge.yaml" --listen "127.0.0.1:$port" --data "$1" >"$1.log" 2>&1 &
  background+=($!)
  until (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3) 2>/dev/null; do
    kill -0 "${background[-1]}" 2>/dev/null || { cat "$1.log" >&2; return 1; }
    now=$(date +%s%N)
    ((now - begin < 20000000000)) || { say "it does not answer" >&2; return 1; }
    sleep 0.005
  done
  now=$(date +%s%N)
  echo $(((now - begin) / 1000000)) >>"$scratch/starts"
  awk '/VmRSS/ {print $2}' "/proc/${background[-1]}/status" >>"$scratch/rss"
  kill "${background[-1]}" && wait "${background[-1]}" || true
  unset 'background[-1]'
}
for i in $(seq "$runs"); do first_answer "$scratch/data-$i"; done
sort -n "$scratch/starts" | awk '{v[NR]=$1} END {printf "  p50 %d ms   max %d ms\n", v[int((NR+1)/2)], v[NR]}'
sort -n "$scratch/rss" | awk '{v[NR]=$1} END {printf "  RSS p50 %.1f MiB\n", v[int((NR+1)/2)]/1024}'

if cluster_is_up; then
  say
  say "idle memory on the cluster (resident, after make run)"
  ps -eo rss=,args= | awk '
    /^ *[0-9]+ \/bridgekeeper manager/ {printf "  operator  %.1f MiB\n", $1/1024}
    /^ *[0-9]+ \/bridge serve/         {printf "  bridge    %.1f MiB\n", $1/1024}
    /^ *[0-9]+ \/bridge store/         {printf "  store     %.1f MiB\n", $1/1024}'
  say
  say "apply to Ready, and rotation to in force: hack/e2e.sh -v -run 'TestApplyToReady|TestRotation'"
fi
