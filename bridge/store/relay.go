package store

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
)

// relay carries signals and bells between replicas of a store.
//
//	commit ──► own signals and bells, at once
//	   └─────► pending ──► pg_notify ──► LISTEN of the others ──► their signals and bells
//
// A notification is sent after the commit and not in it: one in the transaction
// would make all commits of the database server wait for each other. It may
// therefore be lost with the process that was about to send it, and while the
// listener has no connection; so everybody looks for themselves, too, now and
// then.
type relay struct {
	s    *Store
	name string // of the notifications' channel
	self string

	mu      sync.Mutex
	pending notice
	kick    chan struct{}

	listening atomic.Bool
	// reconnect ends the listener's connection (the DSN is another one).
	reconnect atomic.Pointer[context.CancelFunc]
}

// notice is what a notification says. Its JSON has at most some thousand bytes;
// PostgreSQL takes 8000.
type notice struct {
	From    string   `json:"f"`
	Topics  []topic  `json:"t,omitempty"`
	Bridges []string `json:"b,omitempty"` // that have something to send
	All     bool     `json:"a,omitempty"` // more Bridges than fit in here
}

const (
	// relayBridges bounds the Bridges of one notice; a name has up to 317 bytes.
	relayBridges = 20

	// relayPause is how long notices are put together after one was sent, so that
	// a busy replica sends two hundred a second instead of one with each commit.
	relayPause = 5 * time.Millisecond

	// listenPing is how often a silent listener asks whether its connection is
	// still there.
	listenPing = 15 * time.Second

	// pollDeaf and pollHearing are how often everybody looks for themselves: soon
	// while nothing is heard, and now and then in any case.
	pollDeaf    = 500 * time.Millisecond
	pollHearing = 5 * time.Second
)

func newRelay(s *Store, database string) *relay {
	h := fnv.New64a()
	_, _ = h.Write([]byte(database))
	return &relay{s: s, name: "bridgekeeper_" + strconv.FormatUint(h.Sum64(), 36), self: ulid.Make().String(), kick: make(chan struct{}, 1)}
}

// tell takes down what the other replicas have to hear of.
func (r *relay) tell(topics []topic, rung map[string]bool) {
	if len(topics)+len(rung) == 0 {
		return
	}
	r.mu.Lock()
	for _, t := range topics {
		if !slices.Contains(r.pending.Topics, t) {
			r.pending.Topics = append(r.pending.Topics, t)
		}
	}
	for b := range rung {
		if !slices.Contains(r.pending.Bridges, b) {
			r.pending.Bridges = append(r.pending.Bridges, b)
		}
	}
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *relay) take() notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.pending
	r.pending = notice{}
	n.From = r.self
	if n.All = len(n.Bridges) > relayBridges; n.All {
		n.Bridges = nil
	}
	return n
}

// send notifies the others until ctx is done.
func (r *relay) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		}
		raw, err := json.Marshal(r.take())
		if err == nil {
			_, err = all(ctx, r.s.read, scanText, `SELECT pg_notify(?, ?)::text`, r.name, string(raw))
		}
		if err != nil && ctx.Err() == nil {
			r.s.log.Debug("other replicas could not be notified; they look for themselves", "err", err)
		}
		pause(ctx, relayPause, nil)
	}
}

// listen hears the others until ctx is done.
func (r *relay) listen(ctx context.Context) {
	for ctx.Err() == nil {
		within, cancel := context.WithCancel(ctx)
		r.reconnect.Store(&cancel)
		err := r.hear(within)
		replaced := within.Err() != nil
		cancel()
		if r.listening.Swap(false) && ctx.Err() == nil && !replaced {
			r.s.log.Warn("the connection that hears of other replicas' commits broke; until it is back everything is looked for", "err", r.s.db.classify(err))
		}
		if !replaced {
			pause(ctx, pollDeaf, nil)
		}
	}
}

// hear listens on one connection, until that breaks.
func (r *relay) hear(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, postgresPatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, r.s.db.postgres.dsn.current.Load().config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+r.name); err != nil {
		return err
	}
	r.listening.Store(true)
	r.wakeAll() // what came before it listened
	for {
		waiting, cancel := context.WithTimeout(ctx, listenPing)
		n, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			r.heard(n.Payload)
		case !quiet:
			return err
		default:
			pinging, cancel := context.WithTimeout(ctx, connectTimeout)
			err := conn.Ping(pinging)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

func (r *relay) heard(payload string) {
	var n notice
	if err := json.Unmarshal([]byte(payload), &n); err != nil { // of another version, or a stranger's
		r.wakeAll()
		return
	}
	if n.From == r.self {
		return
	}
	known := slices.DeleteFunc(n.Topics, func(t topic) bool { return t < 0 || t >= topics })
	r.s.signals.wake(known...)
	for _, b := range n.Bridges {
		r.s.outbox.bells.ring(b)
	}
	if n.All {
		r.s.outbox.bells.ringAll()
	}
}

// wakeAll lets everybody look for themselves.
func (r *relay) wakeAll() {
	r.s.signals.wake(topicEvents, topicMedia, topicSnooze, topicOffers, topicErrands, topicSteps, topicSurveys)
	r.s.outbox.bells.ringAll()
}

// poll lets everybody look now and then, until ctx is done.
func (r *relay) poll(ctx context.Context) {
	var polled time.Time
	tick := time.NewTicker(pollDeaf)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.listening.Load() && time.Since(polled) < pollHearing {
			continue
		}
		polled = time.Now()
		r.wakeAll()
	}
}

// again lets the listener connect anew.
func (r *relay) again() {
	if cancel := r.reconnect.Load(); cancel != nil {
		(*cancel)()
	}
}
