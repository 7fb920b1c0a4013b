//go:build faults

package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

// binary is bin/bridge, built once; clocked the same with a clock that can be set.
var binary, clocked string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bridgekeeper-faults")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary, clocked = filepath.Join(dir, "bridge"), filepath.Join(dir, "bridge-with-a-clock")
	for _, args := range [][]string{{"-o", binary}, {"-o", clocked, "-tags", "faults"}} {
		build := exec.Command("go", append(append([]string{"build"}, args...), "../../bridge")...) //nolint:gosec // our own command
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "bridge does not build:", err)
			return 1
		}
	}
	defer stopDatabase()
	return m.Run()
}

const (
	app       = "77"
	page      = "1234567890"
	appSecret = "app-secret-of-the-tests"
	channel   = processes.Namespace + "/messenger"
)

// patience is how long anything is waited for that takes seconds at most on a
// machine that has nothing else to do.
const patience = 5 * time.Minute

// messenger is a Messenger channel as the operator writes it.
func messenger() document.Channel {
	return document.Channel{
		UID: "1", Platform: "messenger", Account: page, App: app, Receive: document.ReceiveWebhook,
		Credentials: map[string]string{"appSecret": appSecret, "verifyToken": "verify", "pageAccessToken": "page-token"},
		Config:      []byte(`{"pageID":"` + page + `","appID":"` + app + `"}`),
		Limits:      document.Limits{InboundPerSecond: 100_000}, // the load is not what is tested here
	}
}

// backend is a database that a scenario runs on.
type backend struct {
	name   string
	dsn    func(t *testing.T) string
	stores int
}

// onBoth runs a scenario on SQLite with one store and on PostgreSQL with two.
// Most scenarios wait most of the time, so they run side by side.
func onBoth(t *testing.T, scenario func(t *testing.T, b backend)) {
	t.Helper()
	t.Parallel()
	for _, b := range []backend{
		{name: "sqlite", dsn: func(*testing.T) string { return "" }, stores: 1},
		{name: "postgres", dsn: newDatabase, stores: 2},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, b)
		})
	}
}

// start runs a world of two bridges with a Messenger channel; endpoint plays
// the platform for what is sent (a closed port when empty).
func start(t *testing.T, b backend, change func(*processes.Options)) *processes.World {
	t.Helper()
	o := processes.Options{
		Binary: binary, Dir: t.TempDir(), DSN: b.dsn(t), Bridges: 2, Stores: b.stores,
		Channels:          map[string]document.Channel{"messenger": messenger()},
		PlatformEndpoints: map[string]string{"messenger": "http://127.0.0.1:9", "telegram": "http://127.0.0.1:9"},
		BridgeArgs:        []string{"--drain", "1s", "--log-level", "warn"},
		StoreArgs:         []string{"--log-level", "warn"},
	}
	if change != nil {
		change(&o)
	}
	w, err := processes.New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.Logs())
		}
		w.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, w.Start(ctx))
	return w
}

// load writes while during runs, and then until everything under way is taken.
func load(t *testing.T, w *processes.World, batch int, during func(accepted func(more int))) *traffic.Result {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	progress := make(chan struct{}, 1<<20)
	type outcome struct {
		r   *traffic.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := traffic.Run(ctx, traffic.Options{
			Address: w.Public.Addr, Path: "/webhooks/apps/messenger/" + app, AppSecret: appSecret, Page: page,
			Connections: 16, Contacts: 200, Batch: batch,
			Progress: func() {
				select {
				case progress <- struct{}{}:
				default:
				}
			},
		})
		done <- outcome{r, err}
	}()
	during(func(more int) {
		t.Helper()
		limit := time.After(patience)
		for range more {
			select {
			case <-progress:
			case <-limit:
				t.Fatal("nothing is accepted any more")
			}
		}
	})
	stop()
	o := <-done
	require.NoError(t, o.err)
	t.Logf("%d messages accepted in %s, repeats by answer %v", o.r.Total(), o.r.Took.Round(time.Millisecond), o.r.Repeats)
	return o.r
}

// verify compares what was accepted with what REST shows.
func verify(t *testing.T, w *processes.World, r *traffic.Result, batch int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stored, err := w.Desk().Messages(ctx, channel, message.Inbound)
	require.NoError(t, err)
	findings := traffic.Check(r, batch, stored)
	require.True(t, findings.OK(), "of %d accepted and %d stored: %s", r.Total(), len(stored), findings)
}

// metric is what a process says of a series, with its labels; 0 when there is
// no such series yet.
func metric(ctx context.Context, p *processes.Process, series string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Health+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, nil
}
