package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/hack/postgres"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

// Pages are 16 because one may send 300 messages a second at Messenger: together
// 4 800, so that the platform's pace is not what is measured.
const (
	pages           = 16
	contactsOfPage  = 250
	repliesOfAPage  = 5 // to each contact
	repliesExpected = pages * contactsOfPage * repliesOfAPage
)

// sink is the platform's side of sending: it takes everything.
type sink struct {
	n           atomic.Int64
	first, last atomic.Int64 // ns
	done        chan struct{}
	once        sync.Once
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if !strings.HasSuffix(r.URL.Path, "/messages") {
		// Duties: nothing is registered here, and nothing has to be.
		http.Error(w, `{"error":{"message":"not here","code":100}}`, http.StatusBadRequest)
		return
	}
	n := s.n.Add(1)
	now := time.Now().UnixNano()
	s.first.CompareAndSwap(0, now)
	s.last.Store(now)
	_ = json.NewEncoder(w).Encode(map[string]string{"recipient_id": "1", "message_id": fmt.Sprintf("m_out_%d", n)})
	if n >= repliesExpected {
		s.once.Do(func() { close(s.done) })
	}
}

// outbound queues replies while the bridge is away and measures how fast they
// leave once it is back.
func (b *bench) outbound(ctx context.Context) error {
	begun := false
	for _, x := range []struct {
		name     string
		database func(context.Context) (string, *target, error)
	}{{"SQLite", noDatabase}, {"PostgreSQL", newDatabase}} {
		if !b.wanted("sending " + x.name) {
			continue
		}
		if !begun {
			begun = true
			fmt.Printf("\nsending to a local sink: %d replies to %d contacts of %d pages\n", repliesExpected, pages*contactsOfPage, pages)
			fmt.Printf("  %-28s %11s  %s\n", "", "replies/s", "CPU per reply and memory")
		}
		if err := b.send(ctx, x.name, x.database); err != nil {
			return fmt.Errorf("sending, %s: %w", x.name, err)
		}
	}
	return nil
}

// noDatabase is SQLite, within the store.
func noDatabase(context.Context) (dsn string, t *target, err error) {
	return "", &target{close: func() {}}, nil
}

func newDatabase(ctx context.Context) (dsn string, t *target, err error) {
	server, err := postgres.Start(ctx, postgres.Options{Fsync: true})
	if err != nil {
		return "", nil, err
	}
	if dsn, err = server.NewDatabase(ctx); err != nil {
		server.Close()
		return "", nil, err
	}
	return dsn, &target{parts: []part{{"postgres", server.PIDs}}, close: server.Close}, nil
}

func (b *bench) send(ctx context.Context, name string, database func(context.Context) (string, *target, error)) error {
	dsn, t, err := database(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	s := &sink{done: make(chan struct{})}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	w, err := b.shop(ctx, dsn, "http://"+l.Addr().String())
	if err != nil {
		return err
	}
	defer w.Close()
	t.parts = append(t.parts, part{"store", func() []int { return []int{w.Stores[0].PID()} }})
	t.commits = func(ctx context.Context) (int, error) { return commitsOf(ctx, w.Stores[0].Health) }
	idle, err := t.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := b.queue(ctx, w); err != nil {
		return err
	}
	took := time.Since(began)
	queued, err := t.usage()
	if err != nil {
		return err
	}
	t.print(name+", queued by REST", took, idle, queued)
	return b.deliver(ctx, name, t, w, s, queued)
}

// deliver starts the bridge and waits until everything was sent.
func (b *bench) deliver(ctx context.Context, name string, t *target, w *processes.World, s *sink, before []processes.Usage) error {
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	commits, err := t.committed(ctx)
	if err != nil {
		return err
	}
	if err := w.Bridges[0].Start(ready); err != nil {
		return err
	}
	t.parts = append(t.parts, part{"bridge", func() []int { return []int{w.Bridges[0].PID()} }})
	b.profile(t)
	select {
	case <-s.done:
	case <-time.After(5 * time.Minute):
		return fmt.Errorf("only %d of %d replies were sent", s.n.Load(), repliesExpected)
	case <-ctx.Done():
		return ctx.Err()
	}
	b.profile(t)
	after, err := t.usage()
	if err != nil {
		return err
	}
	if commits, err = t.since(ctx, commits); err != nil {
		return err
	}
	t.print(name+", sent", time.Duration(s.last.Load()-s.first.Load()), append(before, processes.Usage{}), after)
	fmt.Printf("  %-28s %11.2f  transactions a reply\n", "", float64(commits)/repliesExpected)
	return nil
}

// print writes a row of the table.
func (t *target) print(name string, took time.Duration, before, after []processes.Usage) {
	fmt.Printf("  %-28s %11.0f  ", name, repliesExpected/took.Seconds())
	for i, p := range t.parts {
		fmt.Printf("  %s %s %.0f MB", p.name, ((after[i].CPU - before[i].CPU) / repliesExpected).Round(time.Microsecond), float64(after[i].RSS)/1e6)
	}
	fmt.Println()
}

func pageID(i int) string { return fmt.Sprintf("99%03d", i) }

// shop starts a world whose contacts have all written once, and stops its bridge.
func (b *bench) shop(ctx context.Context, dsn, endpoint string) (*processes.World, error) {
	channels := map[string]document.Channel{}
	for i := range pages {
		channels[fmt.Sprintf("page-%d", i)] = document.Channel{
			UID: "1", Platform: "messenger", Account: pageID(i), App: app, Receive: document.ReceiveWebhook,
			Credentials: map[string]string{"appSecret": appSecret, "verifyToken": "verify", "pageAccessToken": "token"},
			Config:      []byte(`{"pageID":"` + pageID(i) + `","appID":"` + app + `"}`),
			Limits:      document.Limits{InboundPerSecond: 1_000_000, OutboundPerSecond: 1_000_000}, // a page's own rate is not what is measured
		}
	}
	w, err := processes.New(processes.Options{
		Binary: b.binary, Dir: b.folder(), DSN: dsn, Channels: channels, PlatformEndpoints: map[string]string{"messenger": endpoint},
		BridgeArgs: []string{"--log-level", "error", "--drain", "0s"}, StoreArgs: []string{"--log-level", "error"}, Env: b.env,
	})
	if err != nil {
		return nil, err
	}
	if err := w.Start(ctx); err != nil {
		w.Close()
		return nil, err
	}
	for i := range pages {
		_, err := traffic.Run(ctx, traffic.Options{
			Address: func() string { return w.Bridges[0].Listen }, Path: "/webhooks/apps/messenger/" + app, AppSecret: appSecret,
			Page: pageID(i), Connections: 16, Contacts: contactsOfPage, Rounds: 1,
		})
		if err != nil {
			w.Close()
			return nil, err
		}
	}
	w.Bridges[0].Stop()
	return w, nil
}

// queue writes the replies by REST, many at a time.
func (b *bench) queue(ctx context.Context, w *processes.World) error {
	desk := w.Desk()
	var conversations []string
	for i := range pages {
		list, err := desk.Conversations(ctx, fmt.Sprintf("%s/page-%d", processes.Namespace, i))
		if err != nil {
			return err
		}
		for _, c := range list {
			conversations = append(conversations, c.ID)
		}
	}
	work := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range 32 {
		wg.Go(func() {
			for id := range work {
				for n := range repliesOfAPage {
					if _, err := desk.Reply(ctx, id, fmt.Sprintf("%s-%d", id, n), "Your parcel leaves today."); err != nil {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
					}
				}
			}
		})
	}
	for _, id := range conversations {
		work <- id
	}
	close(work)
	wg.Wait()
	if len(conversations) != pages*contactsOfPage {
		errs = append(errs, fmt.Errorf("%d conversations, want %d", len(conversations), pages*contactsOfPage))
	}
	return errors.Join(errs...)
}
