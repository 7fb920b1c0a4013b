package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// The outbox. A message to send is planned into parts when it is queued, and
// waits in the lane of its contact. A bridge leases lanes, not messages:
//
//	Send ──plan──► deliveries + parts ──► lane due ──► channel due
//	                                                      │ Lease: channels in turn, their due lanes,
//	                                                      │ the first delivery of each
//	   ┌──────────── Report: sending, sent ◄── bridge ◄───┘
//	   ├──────────── Report: retry, failed, unknown … (the lane's turn ends)
//	   └──────────── lease over: what was being sent is unknown, the rest waits
//
// What ends failed or unknown is a dead letter, which Requeue sends again. While
// the platform refuses a channel, or does not answer, its breaker is open and
// nothing of it is leased but a probe (outbox_breaker.go).
//
// What a report means is decided by judge, what the parts make of a message by
// deriveDelivery and messageStatus; all three are pure. The rest of these files
// keeps rows in step:
//
//   - a lane that is not leased and has something to send has due_at > 0;
//   - a channel with a due lane has due_at > 0, at most as late as the earliest
//     of its lanes or its own ready_at;
//   - a part is sent by the holder of its lane's lease only, and after it was
//     reported as sending.

const (
	// leaseFor is how long a lane is held. A bridge gives a send 30 s; twice
	// that again is left for its report to be repeated while the store restarts,
	// and for waiting behind other sends of the same bridge. Every accepted
	// report begins it anew, so that a message of many parts does not outlive it.
	leaseFor = 90 * time.Second

	// holdMax bounds the longer lease that a bridge asks for with a long send (it
	// asks for 11 min at most): so long a dead bridge can keep a lane waiting.
	holdMax = 15 * time.Minute

	// leaseMax bounds the deliveries of one answer; 1000 of 4 KiB are 4 MiB.
	leaseMax = 1000

	// leaseWaitMax bounds a long poll, so that a connection that died unnoticed
	// is not waited on for ever. Proxies commonly cut at 60 s.
	leaseWaitMax = 55 * time.Second

	// expireBatch bounds the leases that one transaction ends, so that the death
	// of a large bridge does not stop the writer; the rest follows in the next.
	expireBatch = 200

	// expireEvery is how often leases are looked through where nobody asks for
	// deliveries; a message of a dead bridge becomes unknown that much later.
	expireEvery = 5 * time.Second
)

// outbox is what the outbox keeps in memory; nothing of it is needed after a
// restart.
type outbox struct {
	bells   *bells
	senders *senders
	draw    func() float64 // for jitter, in [0, 1)
	sql     outboxSQL
	// opened is when this process began to serve: sessions could not renew before.
	opened time.Time
	// synced is the document that the rows are in line with.
	synced  atomic.Pointer[state]
	metrics *outboxMetrics
}

// openOutbox hangs the outbox and the sessions into the store.
func (s *Store) openOutbox() {
	s.outbox = &outbox{bells: newBells(), senders: &senders{s: s}, draw: rand.Float64, sql: newOutboxSQL(s.db), opened: s.now(), metrics: newOutboxMetrics(s.opts.Metrics, s.queuedDeliveries, s.openBreakers)}
	s.registerGauges(s.opts.Metrics)
	s.hooks.receipt = s.applyReceipt
	s.hooks.documentLoaded = s.documentLoaded
	s.loops = append(s.loops, s.runLeases, s.runSessions)
}

// documentLoaded brings rows in line with a new document: whose channels are
// whose, which may send, and what is sent no more.
func (s *Store) documentLoaded(t *txn, st *state) error {
	if err := s.syncChannels(t, st); err != nil {
		return err
	}
	if err := s.reassignAll(t, st); err != nil {
		return err
	}
	if err := s.syncQueues(t, st); err != nil {
		return err
	}
	if err := t.unshelve(st); err != nil {
		return err
	}
	if err := s.syncSurveys(t, st); err != nil {
		return err
	}
	t.wake(topicOutbox) // runLeases cancels what deleted channels had to send
	t.afterCommit(func() {
		s.outbox.synced.Store(st)
		s.outbox.bells.ringAll()
	})
	return nil
}

// resync does again what could not be written when a document was loaded.
func (s *Store) resync(ctx context.Context) error {
	st := s.state.Load()
	if !st.loaded || s.outbox.synced.Load() == st {
		return nil
	}
	return s.writeLocked(ctx, 1, everythingLocked(), func(t *txn) error { return s.documentLoaded(t, st) })
}

// capabilities of a channel's platform. A platform that the store was not told
// about has none: nothing can be sent there.
func (s *Store) capabilities(ch *Channel) (platform.Capabilities, bool) {
	caps, ok := s.opts.Capabilities[ch.Platform]
	return caps, ok
}

// sendRate is how many platform requests a channel may make per second; 0: any.
func sendRate(ch *Channel, caps platform.Capabilities) float64 {
	if ch.OutboundPerSecond > 0 {
		return float64(ch.OutboundPerSecond)
	}
	return caps.RatePerSec
}

// outboxSQL are statements that differ between databases.
type outboxSQL struct {
	ledgerSQL
	sendSQL
	expiredLeases, dueChannels, heldChannels string
	dueLanes                                 string
	dueLanesOfAll                            string // of several channels (PostgreSQL)
	heads, headParts                         string
}

// dueLanes are a channel's lanes that are due first.
func dueLanes(d dialect, channel, most string) string {
	return `SELECT ` + laneColumns + ` FROM lanes WHERE channel = ` + channel + ` AND due_at > 0 ORDER BY due_at, id LIMIT ` + most + d.skipLocked()
}

func newOutboxSQL(d dialect) outboxSQL {
	first := `FROM (SELECT (SELECT message FROM deliveries WHERE lane = w.value AND state = 'queued' ORDER BY message LIMIT 1) AS message FROM ` + d.values("bigint") + `) AS f `
	return outboxSQL{
		ledgerSQL:     newLedgerSQL(d),
		sendSQL:       newSendSQL(d),
		expiredLeases: `SELECT ` + laneColumns + ` FROM lanes WHERE lease_until > 0 AND lease_until <= ? ORDER BY lease_until LIMIT ?` + d.skipLocked(),
		dueChannels:   `SELECT ` + channelColumns + ` FROM outbox_channels WHERE bridge = ? AND due_at > 0 AND due_at <= ? ORDER BY due_at, rounds LIMIT ?`,
		heldChannels:  `SELECT ` + channelColumns + ` FROM outbox_channels WHERE bridge = ? AND due_at > 0 AND due_at <= ? AND ` + d.among("channel") + ` ORDER BY due_at, rounds`,
		dueLanes:      dueLanes(d, "?", "?"),
		dueLanesOfAll: `SELECT l.* FROM unnest(?::text[], ?::bigint[]) AS w (name, most) CROSS JOIN LATERAL (` + dueLanes(d, "w.name", "w.most") + `) AS l`,
		heads: `SELECT ` + deliveryColumns + `, v.epoch, v.contact, i.external_id, i.reachable, ` + staleSurvey + `,
			` + actsColumns + ` ` + first + `JOIN deliveries d ON d.message = f.message JOIN conversations v ON v.id = d.conversation JOIN identities i ON i.id = v.identity`,
		headParts: `SELECT p.message, p.part, p.state, p.lease, p.unknowns, p.payload ` + first + `JOIN delivery_parts p ON p.message = f.message ORDER BY p.message, p.part`,
	}
}

// runLeases ends leases whose holders are silent, cancels what deleted channels
// had to send, and forgets old keys. Lease does the first too; this is for when
// nobody calls it.
func (s *Store) runLeases(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	loaded := s.signals.next(topicOutbox)
	for {
		select {
		case <-ctx.Done():
			return
		case <-loaded:
		case <-tick.C:
		}
		loaded = s.signals.next(topicOutbox)
		if err := s.resync(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the outbox could not be brought in line with the document; tried again", "err", err, "after", expireEvery)
		}
		if err := errors.Join(s.noticeClock(ctx), s.followClock(ctx)); err != nil && ctx.Err() == nil {
			s.log.Warn("what waits for a time was not reckoned anew after the clock went back; tried again", "err", err, "after", expireEvery)
		}
		if err := s.expireLeases(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("leases that are over could not be ended; tried again", "err", err, "after", expireEvery)
		}
		if err := s.cancelGone(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("what deleted channels had to send could not be cancelled; tried again", "err", err, "after", expireEvery)
		}
		if err := s.forgetKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("old idempotency keys could not be removed; tried again", "err", err, "after", expireEvery)
		}
	}
}
