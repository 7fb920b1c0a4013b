# Shared by the scripts of this folder; sourced, after set -euo pipefail.
#
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cluster() { "$root/hack/cluster/cluster.sh" "$@"; }

image_repository=ghcr.io/bridgekeeper/bridgekeeper
simulator_repository=ghcr.io/bridgekeeper/simulator
operator_namespace=bridgekeeper-system

scratch=$(mktemp -d)
background=()

# finish ends what the script started, by pid, and removes what it wrote.
finish() {
  local status=$? pid
  for pid in "${background[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true # its status is ours: it was told to end
  done
  rm -rf "$scratch"
  return "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*"; }

# step TITLE COMMAND…: runs it quietly and prints how long it took; when it
# fails, prints what it wrote and ends the script.
step() {
  local title=$1 started=$SECONDS
  shift
  printf '  %-58s' "$title"
  if "$@" >"$scratch/step.log" 2>&1; then
    printf '%4d s\n' $((SECONDS - started))
  else
    printf 'failed after %d s\n' $((SECONDS - started))
    sed 's/^/    /' "$scratch/step.log" | tail -n 60 >&2
    exit 1
  fi
}

# loud TITLE COMMAND…: the same for what shows its own progress.
loud() {
  local title=$1 started=$SECONDS
  shift
  say "  $title"
  if ! "$@" 2>&1 | sed 's/^/    /'; then
    say "  $title: failed after $((SECONDS - started)) s" >&2
    exit 1
  fi
  printf '  %-58s%4d s\n' "" $((SECONDS - started))
}

# cluster_is_up says whether our own cluster runs and all of it is healthy.
cluster_is_up() { cluster status -o json >/dev/null 2>&1; }

# ensure_postgres installs Debian's PostgreSQL server where there is none; the
# tests run servers of their own, so no cluster is made at the installation.
ensure_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  if ((EUID != 0)); then
    say "PostgreSQL's server is missing; install it: apt-get install postgresql-15" >&2
    return 1
  fi
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql-15
}

# ensure_mailservers installs Debian's Dovecot and Postfix where they are missing;
# the tests run servers of their own, so the installed ones get no configuration.
ensure_mailservers() {
  [[ -x /usr/sbin/dovecot && -x /usr/bin/doveadm && -x /usr/sbin/postfix ]] && return
  if ((EUID != 0)); then
    say "Dovecot and Postfix are missing; install them: apt-get install dovecot-imapd postfix" >&2
    return 1
  fi
  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends dovecot-imapd postfix
}

# content_tag FILE…: a tag that changes when the files do.
content_tag() { echo "dev-$(sha256sum "$@" | sha256sum | cut -c1-12)"; }

# ensure_image NAME DOCKERFILE: builds the image and brings it into the
# cluster, unless one of this name is there. Names carry the hash of what is
# inside; the note is kept with the cluster's state and goes with it, as the
# images do.
ensure_image() {
  local name=$1 dockerfile=$2 note
  note=$(dirname "$(cluster kubeconfig)")/images/$(tr '/:' '__' <<<"$name").imported
  [[ -e $note ]] && return
  cluster image build -f "$root/$dockerfile" -t "$name" --build-arg BASE=scratch "$root"
  touch "$note"
}

# build_images builds what runs in the cluster and sets image and
# simulator_image to their names.
build_images() {
  step "building the binaries" make -s -C "$root" build
  image=$image_repository:$(cd "$root" && content_tag Dockerfile bin/bridgekeeper bin/bridge)
  simulator_image=$simulator_repository:$(cd "$root" && content_tag hack/simulator/Dockerfile bin/simulator)
}

import_images() {
  step "image of operator, bridge and store" ensure_image "$image" Dockerfile
  step "image of the simulator" ensure_image "$simulator_image" hack/simulator/Dockerfile
}

# overlay_operator DIR IMAGE: a kustomization as users write one to install
# their own image, of any form. The operator starts bridge and store pods from
# the image of its own pod.
overlay_operator() {
  mkdir -p "$1"
  cat >"$1/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - $(realpath --relative-to="$1" "$root/config/default")
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata:
        name: bridgekeeper-manager
        namespace: $operator_namespace
      spec:
        template:
          spec:
            containers:
              - name: manager
                image: $2
EOF
}

# overlay_simulator DIR IMAGE
overlay_simulator() {
  mkdir -p "$1"
  cat >"$1/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - $(realpath --relative-to="$1" "$root/hack/simulator/deploy")
images:
  - name: $simulator_repository
    newName: ${2%:*}
    newTag: ${2##*:}
EOF
}
