package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	gatewaymetrics "github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/adminapi"
	"github.com/bridgekeeper/bridgekeeper/bridge/store/internalapi"
	storerest "github.com/bridgekeeper/bridgekeeper/bridge/store/rest"
	"github.com/bridgekeeper/bridgekeeper/controllers"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// ofOperator sets the controllers up for a cluster that is never called.
func ofOperator(context.Context) ([]metric, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: new(true)}, // there may have been another one
	})
	if err != nil {
		return nil, err
	}
	r := newRecorder()
	if err := controllers.Setup(mgr, controllers.Options{Metrics: r, Workload: workload.Options{Image: "none", OperatorNamespace: "none"}}); err != nil {
		return nil, err
	}
	global, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		return nil, errors.New("the registry of controller-runtime cannot be asked what is in it")
	}
	for _, d := range described(global) {
		m, err := parse(d)
		if err != nil {
			return nil, err
		}
		if m.kind = librarysKind(m.name); m.kind != "" {
			r.metrics[m.name] = m
		}
	}
	return r.list()
}

// librarysKind is the type of a metric of controller-runtime and client-go that
// is worth listing, by their conventions.
func librarysKind(name string) string {
	switch {
	case !strings.HasPrefix(name, "controller_runtime_") && !strings.HasPrefix(name, "workqueue_") &&
		!strings.HasPrefix(name, "leader_election_") && !strings.HasPrefix(name, "rest_client_"):
		return ""
	case strings.HasPrefix(name, "controller_runtime_webhook_"), strings.HasPrefix(name, "controller_runtime_conversion_"):
		return "" // the operator has none
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case name == "workqueue_unfinished_work_seconds", name == "workqueue_longest_running_processor_seconds":
		return "gauge"
	case strings.HasSuffix(name, "_seconds"), strings.HasSuffix(name, "_bytes"):
		return "histogram"
	default:
		return "gauge"
	}
}

func ofBridge(context.Context) ([]metric, error) {
	r := newRecorder()
	gatewaymetrics.New(r)
	return r.list()
}

// ofStore opens a store in a folder that is gone afterwards.
func ofStore(ctx context.Context) (out []metric, err error) {
	dir, err := os.MkdirTemp("", "bridgekeeper-metrics-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := newRecorder()
	st, err := store.Open(ctx, store.Options{Dir: dir, Metrics: r})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if _, err := storerest.New(st, storerest.Options{Registerer: r}); err != nil {
		return nil, err
	}
	internalapi.New(st, internalapi.Options{Registerer: r})
	if err := serveOnce(ctx, st, r); err != nil {
		return nil, err
	}
	return r.list()
}

// serveOnce lets the commands' server begin, and end once it has its metrics.
func serveOnce(ctx context.Context, st adminapi.Store, r *recorder) error {
	ctx, r.then = context.WithCancel(ctx)
	defer r.then()
	if err := adminapi.Serve(ctx, st, adminapi.Options{Registerer: r}); err != nil {
		return fmt.Errorf("commands: %w", err)
	}
	return nil
}
