# Targets with stable names; see README.md. Everything that is downloaded or
# built for tests lives in $(CACHE), outside the work tree, and is reused.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= ghcr.io/bridgekeeper/bridgekeeper:v0.1.0
CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bridgekeeper
# One heavy thing at a time: test binaries of packages run two at once.
TESTFLAGS ?= -p 2 -timeout 45m
export CGO_ENABLED = 0
# One way to compile for binaries and tests alike, so that nothing is compiled twice.
export GOFLAGS = -trimpath
GO_BUILD = go build -ldflags "-s -w -X main.version=$(VERSION)"
TOOL     = go tool -modfile=hack/tools/go.mod
CLUSTER_SH = hack/cluster/cluster.sh
# Modules of their own: what is shipped, checked with the libraries of those who use it.
CHECKS   = hack/observability hack/gitops hack/helm
LINT     = $(CACHE)/bin/golangci-lint-v2.15.0

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: run
run: ## The whole system on a real cluster, with simulated customers (CLUSTER=current: your current context)
	@hack/run.sh

.PHONY: test
test: ## Everything that CI checks
	@hack/test.sh

.PHONY: build
build: ## The binaries, static, in bin/
	@mkdir -p bin
	$(GO_BUILD) -o bin/bridgekeeper .
	$(GO_BUILD) -o bin/bridge ./bridge
	$(GO_BUILD) -o bin/simulator ./hack/simulator

.PHONY: generate
generate: ## CRDs, deepcopy, RBAC, API reference, OpenAPI, metrics, alerts, dashboard, health checks, chart
	@hack/generate.sh

.PHONY: generate-diff
generate-diff: ## Fail when generated files are not what the sources say
	@hack/generate.sh --check

.PHONY: lint
lint: $(LINT) ## golangci-lint, with the settings of .golangci.yml
	$(LINT) run --allow-parallel-runners ./...
	for dir in hack/cluster hack/cluster/agent hack/netpol $(CHECKS); do (cd $$dir && $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...); done

$(LINT):
	@echo "building golangci-lint (once, some minutes)"
	@mkdir -p $(@D)
	cd hack/lint && go build -o $@.tmp github.com/golangci/golangci-lint/v2/cmd/golangci-lint && mv $@.tmp $@

.PHONY: unit
unit: ## Unit, store, conformance and API-server (envtest) tests
	KUBEBUILDER_ASSETS="$$($(CLUSTER_SH) binaries --envtest)" go test $(TESTFLAGS) ./...
	cd hack/cluster && go test ./... && cd agent && go test ./...
	export KUBEBUILDER_ASSETS="$$($(CLUSTER_SH) binaries --envtest)"; for dir in $(CHECKS); do go test -C $$dir ./...; done

.PHONY: e2e
e2e: ## End-to-end tests on the real cluster
	@hack/e2e.sh

.PHONY: bench
bench: ## Tables of throughput, latency and memory on this machine
	@hack/bench.sh

.PHONY: scale
scale: build ## The operator with 1 000 and 10 000 Channels on a real API server: times, memory, requests
	KUBEBUILDER_ASSETS="$$($(CLUSTER_SH) binaries --envtest)" go run ./hack/scale

.PHONY: install.yaml
install.yaml: ## One file to install it with, dist/install.yaml, with IMAGE
	@mkdir -p dist
	go run -C hack/helm . -image $(IMAGE) install.yaml > dist/install.yaml

.PHONY: chart
chart: ## The Helm chart as an archive, in dist/
	@mkdir -p dist
	go run -C hack/helm . package ../../dist

.PHONY: image
image: build ## The image, built with the shipped Dockerfile and brought into the test cluster
	$(CLUSTER_SH) image build -f Dockerfile -t $(IMAGE) --build-arg BASE=scratch .
	$(CLUSTER_SH) image build -f hack/simulator/Dockerfile -t ghcr.io/bridgekeeper/simulator:v0.1.0 --build-arg BASE=scratch .

.PHONY: cluster-up
cluster-up: ## A real single-node Kubernetes on this machine
	@$(CLUSTER_SH) up

.PHONY: cluster-down
cluster-down: ## Stop it and remove everything that it made
	@$(CLUSTER_SH) down
