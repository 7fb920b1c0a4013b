#!/usr/bin/env bash
# The whole system on a real cluster, with simulated customers; `make run`.
#
#   build ► cluster ► images ► operator ► simulator ► samples ► customers write
#   ► their messages are in REST ► replies by REST ► the customers see them
#
# Leaves everything running, and may be run again at any time: what is there
# and unchanged is left alone.
#
#   CLUSTER=current  uses the current kubectl context and makes no cluster. IMAGE
#                    and SIMULATOR_IMAGE then name images that it can pull.
set -euo pipefail
cd "$(dirname "$0")/.."
source hack/lib.sh

mode=${CLUSTER:-local}
patience=120s # for each wait; a first start takes seconds
shop=shop

kubectl() {
  if [[ $mode == current ]]; then command kubectl "$@"; else cluster kubectl "$@"; fi
}

main() {
  local started=$SECONDS
  say "Bridgekeeper: from source to a customer's answer"
  check_mode
  if [[ $mode == current ]]; then
    image=$IMAGE simulator_image=$SIMULATOR_IMAGE
  else
    build_images
    up
    import_images
  fi
  install
  apply_samples
  converse
  report
  say "Done in $((SECONDS - started)) s."
  how_to_go_on
}

check_mode() {
  case $mode in
    local) ;;
    current)
      command -v kubectl >/dev/null || fail "CLUSTER=current needs kubectl on the PATH"
      [[ -n ${IMAGE:-} && -n ${SIMULATOR_IMAGE:-} ]] || fail "CLUSTER=current needs IMAGE and SIMULATOR_IMAGE: images that the cluster can pull.
Build them with the Dockerfile here and hack/simulator/Dockerfile, after 'make build'."
      ;;
    *) fail "CLUSTER=$mode: use CLUSTER=current, or leave it out" ;;
  esac
}

fail() {
  say "run.sh: $*" >&2
  exit 1
}

up() {
  if cluster_is_up; then
    step "cluster is up" true
  else
    loud "bringing a cluster up (the first time it is compiled: some ten minutes)" cluster up
  fi
}

install() {
  overlay_operator "$scratch/operator" "$image"
  overlay_simulator "$scratch/simulator" "$simulator_image"
  step "operator: kubectl apply --server-side -k" kubectl apply --server-side --force-conflicts -k "$scratch/operator"
  local world
  world=$(simulated_world)
  step "simulator" kubectl apply --server-side --force-conflicts -k "$scratch/simulator"
  step "the resources are known" wait_for "" crd/channels.bridgekeeper.dev condition=Established
  step "operator runs" rolled_out "$operator_namespace" deployment/bridgekeeper-manager
  step "simulator runs" rolled_out simulator deployment/simulator
  # A new simulator has forgotten who registered webhooks with the old one.
  # The bridge would notice within minutes; a new pod of it asks at once.
  if [[ -n $world && $world != "$(simulated_world)" ]] && kubectl -n "$shop" get deployment/default-bridge >/dev/null 2>&1; then
    step "bridge starts anew, for the new simulator" kubectl -n "$shop" rollout restart deployment/default-bridge
  fi
}

# simulated_world names the simulator's process: what it knows is in memory.
simulated_world() {
  kubectl -n simulator get pods -l app.kubernetes.io/name=simulator --field-selector=status.phase=Running -o jsonpath='{.items[*].metadata.uid}' 2>/dev/null || true
}

apply_samples() {
  step "samples: kubectl apply -k config/samples" kubectl apply --server-side --force-conflicts -k config/samples
  local what
  for what in conversationstore/default bridge/default channel/telegram-main channel/telegram-polling; do
    step "$what is Ready" wait_for "$shop" "$what" condition=Ready
  done
  # Ready of a resource outlasts an upgrade of the pods, on purpose.
  for what in statefulset/default-store deployment/default-bridge; do
    step "$what runs this version" upgraded "$shop" "$what"
  done
  step "channel/telegram-main: webhook is registered" wait_for "$shop" channel/telegram-main condition=WebhookRegistered
}

# wait_for NAMESPACE OBJECT CONDITION: bounded; on failure shows why.
wait_for() {
  local namespace=() object=$2
  [[ -n $1 ]] && namespace=(-n "$1")
  kubectl "${namespace[@]}" wait "$object" --for="$3" --timeout="$patience" && return
  kubectl "${namespace[@]}" describe "$object" | tail -n 40
  [[ -n $1 ]] && explain "$1"
  return 1
}

rolled_out() {
  kubectl -n "$1" rollout status "$2" --timeout="$patience" && return
  explain "$1"
  return 1
}

# upgraded NAMESPACE WORKLOAD: the operator has given it the image, and its pods run.
upgraded() {
  wait_for "$1" "$2" "jsonpath={.spec.template.spec.containers[0].image}=$image" && rolled_out "$1" "$2"
}

# explain shows what is usually the reason: pods, events, the operator's log.
explain() {
  say "--- pods and events of namespace $1"
  kubectl -n "$1" get pods -o wide
  kubectl -n "$1" get events --sort-by=.lastTimestamp | tail -n 15
  say "--- log of the operator"
  kubectl -n "$operator_namespace" logs deployment/bridgekeeper-manager --tail=20
}

# forward NAMESPACE SERVICE PORT: forwards a port of this machine and sets url.
forward() {
  local log=$scratch/forward-$2.log
  : >"$log" # kubectl must not be run in a subshell: its pid is what is ended later
  if [[ $mode == current ]]; then
    command kubectl -n "$1" port-forward "service/$2" ":$3" >"$log" 2>&1 &
  else
    KUBECONFIG=$(cluster kubeconfig) hack/cluster/cluster.sh kubectl -n "$1" port-forward "service/$2" ":$3" >"$log" 2>&1 &
  fi
  background+=($!)
  local tries
  for tries in {1..100}; do
    url=$(sed -n 's|^Forwarding from \(127.0.0.1:[0-9]*\) .*|http://\1|p' "$log" | head -n 1)
    [[ -n $url ]] && return
    kill -0 "${background[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  fail "cannot reach service $2 of namespace $1: $(cat "$log")"
}

converse() {
  step "customers and desk" go build -o bin/demo ./hack/demo
  local url rest simulator
  forward "$shop" default-store 8080
  rest=$url
  forward simulator telegram 8082
  simulator=$url
  DESK_TOKEN=$(kubectl -n "$shop" get secret desk-token -o jsonpath='{.data.token}' | base64 -d)
  export DESK_TOKEN
  step "customers write, the desk answers, they see it" talk "$rest" "$simulator"
}

talk() {
  bin/demo -rest "$1" -simulator "$2" \
    -conversation "$shop/telegram-main=7000000001=Ana" \
    -conversation "$shop/telegram-polling=7000000002=Ben" >"$scratch/conversations" && return
  explain "$shop"
  return 1
}

report() {
  say
  say "kubectl get conversationstores,bridges,channels -A"
  kubectl get conversationstores,bridges,channels -A
  say
  cat "$scratch/conversations"
  say
}

how_to_go_on() {
  local setup=""
  [[ $mode == current ]] || setup="  export KUBECONFIG=$(cluster kubeconfig)
  alias kubectl='$root/hack/cluster/cluster.sh kubectl'   # if you have none
"
  cat <<EOF

Look further:
$setup  kubectl -n $shop get channels -o wide
  kubectl -n $shop describe channel telegram-main
  kubectl -n $shop logs deployment/default-bridge
  kubectl -n $shop port-forward service/default-store 8080 &
  TOKEN=\$(kubectl -n $shop get secret desk-token -o jsonpath='{.data.token}' | base64 -d)
  curl -H "Authorization: Bearer \$TOKEN" http://127.0.0.1:8080/v1/conversations
  curl http://127.0.0.1:8080/openapi.yaml
EOF
  if [[ $mode == current ]]; then
    say "
Stop:
  kubectl delete -k config/samples && kubectl delete -k hack/simulator/deploy && kubectl delete -k config/default"
  else
    say "  curl http://127.0.0.1:30082/control/bots           # the simulator's side of it

Stop:
  make cluster-down"
  fi
}

main
