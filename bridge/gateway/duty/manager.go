// Package duty does what a replica owes the platforms for the channels whose
// leases it has: probing credentials, registering webhooks, keeping profiles.
//
//	table, leases ──sync──► targets ──► queue (by due time) ──► 16 workers
//	                           ▲                                   │ Probe, Register,
//	                           └──────── result, next due ◄────────┘ SyncProfile, Unregister
//	                                        └──► rows of /status
//
// One goroutine owns all of it; workers only call the platform. Per channel:
// the probe comes first, and nothing else is tried until the credentials were
// accepted once. Sends that are refused because of them, in whichever replica,
// bring the probe forward. Results belong to what the duty depends on (credentials, URL,
// profile), so that a change elsewhere in the channel does not undo them.
package duty

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/channels"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/metrics"
	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/status"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// workers bounds duties at one time over all channels. 1000 channels that
	// start together have 3 duties of about 0.2 s each: 16 at a time are done
	// in 40 s, at 80 requests a second, which no platform takes amiss.
	workers = 16
	// timeout of one duty. A profile is up to some dozen requests (languages),
	// each of which the platform may take a second for.
	timeout = time.Minute
)

// Leases are the channels that this replica has.
type Leases interface {
	Assignment(channel string) (wire.Assignment, bool)
	Watch() <-chan struct{}
	// Refused says that sends of the channel wait because the platform refused
	// its credentials; changes of it are watched too.
	Refused(channel string) bool
	// Accepted says that the platform has accepted them (again).
	Accepted(channel string)
}

// Config is what a Manager needs.
type Config struct {
	Table   *channels.Table
	Leases  Leases
	Rows    *status.Rows
	Metrics *metrics.Metrics
	Log     *slog.Logger
}

// Manager runs the duties. Make one with New and Run it once.
type Manager struct {
	Config
	tableChanged, leasesChanged <-chan struct{}

	// Of Run alone.
	targets map[string]*target // by entry key
	queue   queue
	running int
	results chan result
	active  sync.WaitGroup
}

// result is a task that ended.
type result struct {
	task    *task
	input   fingerprint
	verdict verdict
}

// New makes a manager.
func New(c Config) *Manager {
	return &Manager{
		Config: c, tableChanged: c.Table.Watch(), leasesChanged: c.Leases.Watch(),
		targets: map[string]*target{}, results: make(chan result, workers),
	}
}

// Run returns when ctx is done and no duty runs any more.
func (m *Manager) Run(ctx context.Context) {
	defer m.active.Wait()
	m.sync()
	for {
		m.start(ctx)
		timer := time.NewTimer(m.untilDue())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.tableChanged:
			m.sync()
		case <-m.leasesChanged:
			m.sync()
		case r := <-m.results:
			m.finish(r)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// untilDue is how long nothing needs to be started.
func (m *Manager) untilDue() time.Duration {
	if len(m.queue) == 0 || m.running >= workers {
		return time.Hour // a result or a change comes before
	}
	return time.Until(m.queue[0].due)
}

// sync makes the targets equal to the entries that are held.
func (m *Manager) sync() {
	snapshot := m.Table.Snapshot()
	there := map[string]bool{}
	visit := func(ch *channels.Channel) bool {
		there[ch.Key()] = true
		_, held := m.Leases.Assignment(ch.Name)
		t := m.targets[ch.Key()]
		switch {
		case held && t == nil:
			m.adopt(ch)
		case held && t.channel != ch:
			m.update(t, ch)
		case !held && t != nil:
			m.release(t)
		}
		if held {
			m.doubt(m.targets[ch.Key()], m.Leases.Refused(ch.Name))
		}
		return true
	}
	snapshot.Channels(visit)
	snapshot.Tombstones(visit)
	for key, t := range m.targets {
		if !there[key] {
			m.release(t)
		}
	}
	m.Rows.Keep(func(key string) bool { return there[key] })
}

func (m *Manager) adopt(ch *channels.Channel) {
	t := &target{channel: ch, tasks: map[status.Obligation]*task{}}
	m.targets[ch.Key()] = t
	m.Rows.Hold(ch)
	m.plan(t)
}

func (m *Manager) update(t *target, ch *channels.Channel) {
	touched := ch.Generation != t.channel.Generation
	t.channel = ch
	m.Rows.Hold(ch)
	m.plan(t)
	if touched {
		m.lookNow(t)
	}
}

// doubt looks at the credentials at once when sends begin to be refused because
// of them, instead of at the next regular look. Refusals that go on say nothing
// new.
func (m *Manager) doubt(t *target, refused bool) {
	began := refused && !t.refused
	t.refused = refused
	k := t.tasks[status.Credentials]
	if !began || k == nil {
		return
	}
	if k.running { // it may have asked before the refusal
		k.again = true
		return
	}
	m.unqueue(k)
	k.due = time.Now()
	m.admit(t)
}

// lookNow brings the next look at the platform forward: somebody changed the
// resource, perhaps because of what it says of the platform. What is known
// stays until then.
func (m *Manager) lookNow(t *target) {
	for _, k := range t.tasks {
		if !k.running {
			m.unqueue(k)
			k.due = time.Now()
		}
	}
	m.admit(t)
}

func (m *Manager) release(t *target) {
	for _, k := range t.tasks {
		m.unqueue(k)
		k.stop()
	}
	delete(m.targets, t.channel.Key())
	m.Rows.Release(t.channel.Key())
}

// plan gives a target the tasks of its entry. Tasks whose input is the same go
// on as they were; others begin anew.
func (m *Manager) plan(t *target) {
	want := map[status.Obligation]bool{}
	for _, o := range obligationsOf(t.channel) {
		want[o] = true
		input := inputOf(t.channel, o)
		k := t.tasks[o]
		if k != nil && k.input == input {
			continue
		}
		if k == nil {
			k = &task{target: t, obligation: o, index: -1}
			t.tasks[o] = k
		}
		m.unqueue(k)
		k.stop()
		k.input, k.succeeded, k.failures, k.due = input, false, 0, time.Now()
		m.Rows.Set(t.channel, o, document.Duty{State: document.DutyPending, Reason: status.ReasonNotAttempted})
	}
	for o, k := range t.tasks {
		if !want[o] {
			m.unqueue(k)
			k.stop()
			delete(t.tasks, o)
			m.Rows.Clear(t.channel, o)
		}
	}
	m.admit(t)
}

// admit queues the tasks of a target that may run, and takes out the others.
func (m *Manager) admit(t *target) {
	for _, k := range t.tasks {
		switch b := m.blockOf(k); {
		case k.running: // its result brings it back here
		case b.is:
			m.unqueue(k)
			if b.duty.State != "" {
				m.Rows.Set(t.channel, k.obligation, b.duty)
			}
		case k.index < 0:
			heap.Push(&m.queue, k)
		}
	}
}

func (m *Manager) unqueue(k *task) {
	if k.index >= 0 {
		heap.Remove(&m.queue, k.index)
	}
}

// start runs what is due, as many as there are workers for.
func (m *Manager) start(ctx context.Context) {
	now := time.Now()
	for len(m.queue) > 0 && m.running < workers && !m.queue[0].due.After(now) {
		m.run(ctx, heap.Pop(&m.queue).(*task))
	}
	m.Metrics.DutiesRunning.Set(float64(m.running))
}

func (m *Manager) run(ctx context.Context, k *task) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	k.running, k.cancel = true, cancel
	m.running++
	r := result{task: k, input: k.input}
	ch, registered := k.target.channel, k.target.registered
	if registered == "" && ch.Spec.Registered {
		registered = ch.Spec.WebhookURL
	}
	m.active.Go(func() {
		defer cancel()
		r.verdict = m.do(ctx, ch, k.obligation, registered)
		m.results <- r
	})
}

// finish takes a result in, unless what it was about has changed meanwhile.
func (m *Manager) finish(r result) {
	m.running--
	k := r.task
	k.running, k.cancel = false, nil
	t := k.target
	if m.targets[t.channel.Key()] != t || t.tasks[k.obligation] != k {
		return
	}
	if r.input == k.input {
		m.apply(t, k, r.verdict)
	}
	m.admit(t)
}

func (m *Manager) apply(t *target, k *task, v verdict) {
	m.Metrics.Duties.WithLabelValues(t.channel.Spec.Platform, string(k.obligation), string(v.duty.State)).Inc()
	recovered := false
	if v.duty.State == document.DutyDone {
		if k.obligation == status.Credentials && (!k.succeeded || k.failures > 0) {
			m.Leases.Accepted(t.channel.Name)
		}
		recovered = k.failures > 0
		k.succeeded, k.failures = true, 0
	} else {
		k.failures++
	}
	tombstone := t.channel.Kind == document.EntryTombstone
	k.due = time.Now().Add(next(k.obligation, tombstone, v.duty, k.failures, v.retryAfter))
	if k.again {
		k.again, k.due = false, time.Now()
	}
	m.log(t.channel, k, v, recovered)
	if v.registered != "" {
		t.registered = v.registered
	}
	if v.displayName != "" {
		m.Rows.DisplayName(t.channel, v.displayName)
	}
	if k.succeeded && k.failures == 1 && v.duty.State == document.DutyRetrying {
		return // what worked a moment ago may have its hiccup: one does not change a condition
	}
	m.Rows.Set(t.channel, k.obligation, v.duty)
}

func (m *Manager) log(ch *channels.Channel, k *task, v verdict, recovered bool) {
	switch {
	case recovered:
		m.Log.Info("a duty is done again", "entry", ch.Key(), "duty", string(k.obligation))
	case k.failures == 1:
		m.Log.Warn("a duty is not done", "entry", ch.Key(), "duty", string(k.obligation), "state", string(v.duty.State),
			"reason", v.duty.Reason, "error", v.duty.Message)
	}
}
