package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// patience of one step. Ten thousand Channels are some 60 000 requests; an API
// server that shares two cores with other work answers 75 of them in a second.
const patience = 30 * time.Minute

// scale is one run.
type scale struct {
	server   *server
	operator *operator
	kubelet  *kubelet
	ready    *readiness
	rest     time.Duration
	channels int // applied so far
	verdict  *verdict
}

func main() {
	binary := flag.String("binary", "bin/bridgekeeper", "the operator's binary")
	first := flag.Int("first", 1_000, "Channels that are applied at once at first")
	all := flag.Int("all", 10_000, "Channels in the end")
	rest := flag.Duration("rest", 2*time.Minute, "how long nothing may be written at rest")
	bridgeBinary := flag.String("bridge", "bin/bridge", "the bridge's binary")
	whole := flag.Bool("operator", true, "measure the operator too, not one bridge alone")
	assert := flag.Bool("assert", false, "fail when something is above its aim: for a machine on which nothing else runs")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	v := &verdict{}
	if *whole {
		err = run(ctx, v, *binary, *first, *all, *rest)
	}
	if err == nil {
		err = bridges(ctx, v, *bridgeBinary, *first)
	}
	if err == nil {
		err = v.end(*assert)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, v *verdict, binary string, first, all int, rest time.Duration) error {
	dir, err := os.MkdirTemp("", "bridgekeeper-scale")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &scale{rest: rest, verdict: v}
	if s.server, err = startServer(ctx, dir, filepath.Join("config", "crd", "bases")); err != nil {
		return err
	}
	defer s.server.stop()
	s.kubelet = newKubelet(s.server)
	s.operator = &operator{binary: binary, kubeconfig: s.server.kubeconfig, log: filepath.Join(dir, "operator.log")}
	defer s.operator.stop()
	if s.ready, err = watchReadiness(ctx, s.server); err != nil {
		return err
	}
	if err := s.kubelet.watch(ctx); err != nil {
		return err
	}
	go func() { cancel(s.server.cache.Start(ctx)) }()
	s.server.cache.WaitForCacheSync(ctx)
	go func() {
		if err := s.kubelet.run(ctx); err != nil {
			cancel(err)
		}
	}()
	if err := s.scenario(ctx, first, all); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("%w (the operator's log: %s)", err, s.operator.log)
	}
	return os.RemoveAll(dir)
}

func (s *scale) scenario(ctx context.Context, first, all int) error {
	fmt.Printf("\noperator at scale: %d cores, which API server, etcd and %d stand-in pods share; %s\n", runtime.NumCPU(), 2, runtime.Version())
	fmt.Printf("  %-42s %10s %9s %9s   %s\n", "", "took", "RSS", "peak", "requests to the API server")
	if err := s.operator.start(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	steps := []struct {
		what string
		aim  aim
		do   func(context.Context) (time.Duration, error)
	}{
		{fmt.Sprintf("%d Channels applied → all Ready", first), aimOf(first), func(ctx context.Context) (time.Duration, error) { return s.apply(ctx, first) }},
		{fmt.Sprintf("%d Channels in all → all Ready", all), aimOf(all), func(ctx context.Context) (time.Duration, error) { return s.apply(ctx, all) }},
		{"at rest", aimOf(all).lasting(), s.silence},
		{"a Secret rotated → in force", aimOf(all), s.rotate},
		{"operator started again → nothing to do", aimOf(all), s.restart},
		{"at rest after it", aimOf(all).lasting(), s.silence},
	}
	for _, step := range steps {
		if err := s.measure(ctx, step.what, step.aim, step.do); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// measure runs a step and prints its row.
func (s *scale) measure(ctx context.Context, what string, a aim, do func(context.Context) (time.Duration, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err := s.operator.requests(ctx)
	if err != nil {
		return err
	}
	pid := s.operator.cmd.Process.Pid
	took, err := do(ctx)
	if err != nil {
		return err
	}
	if s.operator.cmd.Process.Pid != pid {
		before = nil // another process counts from zero
	}
	after, err := s.operator.requests(ctx)
	if err != nil {
		return err
	}
	now, peak, err := s.operator.memory()
	if err != nil {
		return err
	}
	fmt.Printf("  %-42s %9.1fs %5.0f MiB %5.0f MiB   %s\n", what, took.Seconds(), now, peak, after.minus(before))
	s.verdict.judge(what, a, took, now)
	return nil
}

// prepare makes a Bridge with a public URL, so that webhooks are registered,
// and waits until it and its store are Ready.
func (s *scale) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st := &v1alpha1.ConversationStore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
	b := &v1alpha1.Bridge{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}, Spec: v1alpha1.BridgeSpec{PublicURL: "https://hooks.example.com"}}
	if err := s.server.client.Create(ctx, st); err != nil {
		return err
	}
	if err := s.server.client.Create(ctx, b); err != nil {
		return err
	}
	return s.operator.until(ctx, "the Bridge is Ready", func() (bool, error) {
		if err := s.server.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "default"}, b); err != nil {
			return false, err
		}
		for _, c := range b.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

// apply makes Channels until there are n, and waits until all are Ready.
func (s *scale) apply(ctx context.Context, n int) (time.Duration, error) {
	began := time.Now()
	if err := applyChannels(ctx, s.server.client, s.channels, n); err != nil {
		return 0, err
	}
	s.channels = n
	err := s.ready.wait(ctx, n, s.operator.exited)
	return time.Since(began), err
}

// silence waits for rest and then demands that nothing is written.
func (s *scale) silence(ctx context.Context) (time.Duration, error) {
	if _, err := s.operator.idle(ctx); err != nil {
		return 0, err
	}
	before, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(s.rest):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	if changed := before.changed(after); len(changed) > 0 {
		return 0, errors.New(s.server.story(ctx, changed))
	}
	return s.rest, nil
}

// rotate changes one Secret and demands that of the documents one shard
// changes, beside the first, which holds the hashes of all.
func (s *scale) rotate(ctx context.Context) (time.Duration, error) {
	before, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	i := s.channels / 2
	key := document.Entry{Kind: document.EntryChannel, Name: namespace + "/" + channelName(i)}.Key()
	hash := s.kubelet.hash(key)
	began := time.Now()
	if err := s.server.client.Update(ctx, credentials(i, 1)); err != nil {
		return 0, err
	}
	if err := s.operator.until(ctx, "the credentials are in force", func() (bool, error) { return s.kubelet.inForce(key, hash), nil }); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if _, err := s.operator.idle(ctx); err != nil {
		return 0, err
	}
	after, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	var shards []string
	for _, name := range before.changed(after) {
		if strings.Contains(name, "-documents-") {
			shards = append(shards, name)
		}
	}
	if len(shards) > 2 {
		return 0, fmt.Errorf("%d Secrets of documents were written: %s", len(shards), strings.Join(shards, ", "))
	}
	fmt.Printf("    written: %s\n", strings.Join(before.changed(after), ", "))
	return took, nil
}

// restart ends the operator, starts it again, and waits until it has looked at
// everything; it must write nothing.
func (s *scale) restart(ctx context.Context) (time.Duration, error) {
	before, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	s.operator.stop()
	began := time.Now()
	if err := s.operator.start(ctx); err != nil {
		return 0, err
	}
	err = s.operator.until(ctx, "every Channel is looked at", func() (bool, error) {
		done, err := s.operator.sum(ctx, "controller_runtime_reconcile_total", "controller")
		return done["channel"] >= float64(s.channels), err
	})
	if err != nil {
		return 0, err
	}
	since, err := s.operator.idle(ctx)
	if err != nil {
		return 0, err
	}
	after, err := s.server.versions(ctx)
	if err != nil {
		return 0, err
	}
	if changed := before.changed(after); len(changed) > 0 {
		return 0, errors.New(s.server.story(ctx, changed))
	}
	return since.Sub(began), nil
}
