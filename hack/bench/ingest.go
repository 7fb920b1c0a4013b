package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

const (
	appSecret = "app-secret-of-the-bench"
	app       = "77"
	page      = "1234567890"
	contacts  = 10_000
)

// target is something that takes webhooks.
type target struct {
	name    string
	address string
	parts   []part
	stored  func(ctx context.Context) (int, error)
	commits func(ctx context.Context) (int, error) // of the store, since its start; may be nil
	close   func()
}

// part of a target whose CPU and memory are told apart.
type part struct {
	name string
	pids func() []int
}

// load is the load generator, this process: it is on the same cores.
var load = part{"load", func() []int { return []int{os.Getpid()} }}

// ingest measures every target at 64 and 256 connections and prints the table.
func (b *bench) ingest(ctx context.Context) error {
	fmt.Printf("\ndurable ingest: %d contacts, %d messages a run, one per request\n", contacts, b.messages)
	fmt.Printf("  %-28s %12s %11s %9s %9s %2s %s\n", "", "connections", "messages/s", "p50", "p99", "", "CPU per message and memory")
	for _, kind := range []struct {
		name string
		open func(context.Context, string) (*target, error)
	}{{"bare: verify, append, fsync", b.bare}, {"bridge, store, SQLite", b.sqlite}, {"bridge, store, PostgreSQL", b.postgres}} {
		for _, connections := range []int{64, 256} {
			if !b.wanted(fmt.Sprintf("%s %d", kind.name, connections)) {
				continue
			}
			t, err := kind.open(ctx, kind.name)
			if err != nil {
				return err
			}
			err = b.measure(ctx, t, connections)
			t.close()
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	return nil
}

func (b *bench) measure(ctx context.Context, t *target, connections int) error {
	options := traffic.Options{
		Address: func() string { return t.address }, Path: "/webhooks/apps/messenger/" + app, AppSecret: appSecret, Page: page,
		Connections: connections, Contacts: contacts, Messages: contacts,
	}
	warm, err := traffic.Run(ctx, options) // every contact has written before, as in real life
	if err != nil {
		return err
	}
	before, err := t.usage()
	if err != nil {
		return err
	}
	commits, err := t.committed(ctx)
	if err != nil {
		return err
	}
	b.profile(t)
	options.First, options.Messages = warm.Accepted, b.messages
	r, err := traffic.Run(ctx, options)
	b.profile(t)
	if err != nil {
		return err
	}
	after, err := t.usage()
	if err != nil {
		return err
	}
	if commits, err = t.since(ctx, commits); err != nil {
		return err
	}
	n := r.Requests
	fmt.Printf("  %-28s %12d %11.0f %9s %9s  ", t.name, connections, float64(n)/r.Took.Seconds(), short(r.Percentile(50)), short(r.Percentile(99)))
	for i, p := range t.parts {
		fmt.Printf("  %s %s %.0f MB", p.name, ((after[i].CPU - before[i].CPU) / time.Duration(n)).Round(time.Microsecond), float64(after[i].RSS)/1e6)
	}
	if commits > 0 {
		fmt.Printf("  %d a commit", n/commits)
	}
	fmt.Println()
	return b.verify(ctx, t, r)
}

// verify counts: a fast ingest that loses messages is none.
func (b *bench) verify(ctx context.Context, t *target, r *traffic.Result) error {
	if t.stored == nil {
		return nil
	}
	stored, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if stored != r.Total() {
		return fmt.Errorf("%d messages were accepted and %d stored", r.Total(), stored)
	}
	return nil
}

// profile begins or ends a CPU profile of bridge and store.
func (b *bench) profile(t *target) {
	if b.profiles == "" {
		return
	}
	for _, p := range t.parts {
		if p.name != "bridge" && p.name != "store" {
			continue
		}
		for _, pid := range p.pids() {
			_ = syscall.Kill(pid, syscall.SIGUSR1) // one that is gone fails the run itself
		}
	}
}

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// bare runs this program as the bare server.
func (b *bench) bare(_ context.Context, name string) (*target, error) {
	cmd := exec.Command(os.Args[0], "bare", filepath.Join(b.folder(), "journal")) //nolint:gosec,noctx // ourselves; ended below
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("bare server: %w", err)
	}
	return &target{
		name: name, address: strings.TrimSpace(line),
		parts: []part{{"server", func() []int { return []int{cmd.Process.Pid} }}, load},
		close: func() { _ = cmd.Process.Kill(); _ = cmd.Wait() },
	}, nil
}

func (b *bench) sqlite(ctx context.Context, name string) (*target, error) {
	return b.world(ctx, name, "", nil, func() {}, nil)
}

func (b *bench) postgres(ctx context.Context, name string) (*target, error) {
	server, err := postgres.Start(ctx, postgres.Options{Fsync: true})
	if err != nil {
		return nil, err
	}
	dsn, err := server.NewDatabase(ctx)
	if err != nil {
		server.Close()
		return nil, err
	}
	return b.world(ctx, name, dsn, server.PIDs, server.Close, nil)
}

func (b *bench) world(ctx context.Context, name, dsn string, database func() []int, closeDatabase func(), routing []document.Entry) (*target, error) {
	w, err := processes.New(processes.Options{
		Binary: b.binary, Dir: b.folder(), DSN: dsn, Routing: routing,
		Channels: map[string]document.Channel{"messenger": {
			UID: "1", Platform: "messenger", Account: page, App: app, Receive: document.ReceiveWebhook,
			Credentials: map[string]string{"appSecret": appSecret, "verifyToken": "verify", "pageAccessToken": "token"},
			Config:      []byte(`{"pageID":"` + page + `","appID":"` + app + `"}`),
			// The bench asks for more than a page gets at the platform.
			Limits: document.Limits{InboundPerSecond: 1_000_000},
		}},
		PlatformEndpoints: map[string]string{"messenger": "http://127.0.0.1:9"},
		BridgeArgs:        []string{"--log-level", "error"}, StoreArgs: []string{"--log-level", "error"},
		Env: b.env,
	})
	if err != nil {
		closeDatabase()
		return nil, err
	}
	stop := func() { w.Close(); closeDatabase() }
	if err := w.Start(ctx); err != nil {
		stop()
		return nil, err
	}
	parts := []part{
		{"bridge", func() []int { return []int{w.Bridges[0].PID()} }},
		{"store", func() []int { return []int{w.Stores[0].PID()} }},
	}
	if database != nil {
		parts = append(parts, part{"postgres", database})
	}
	parts = append(parts, load)
	return &target{
		// The bridge itself, not the balancer: that one is a part of the test only.
		name: name, address: w.Bridges[0].Listen, close: stop,
		parts: parts, commits: func(ctx context.Context) (int, error) { return commitsOf(ctx, w.Stores[0].Health) },
		stored: func(ctx context.Context) (int, error) {
			list, err := w.Desk().Messages(ctx, processes.Namespace+"/messenger", message.Inbound)
			return len(list), err
		},
	}, nil
}

// usage of each part; shared memory counts in every process that has it.
func (t *target) usage() ([]processes.Usage, error) {
	sums := make([]processes.Usage, len(t.parts))
	for i, p := range t.parts {
		for _, pid := range p.pids() {
			u, err := processes.UsageOf(pid)
			if err != nil {
				return nil, err
			}
			sums[i].CPU += u.CPU
			sums[i].RSS += u.RSS
		}
	}
	return sums, nil
}
