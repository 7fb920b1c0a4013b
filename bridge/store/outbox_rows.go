package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// laneRow is a lane with its lease.
type laneRow struct {
	id             int64
	channel        string
	contact        string
	dueAt          int64
	readyAt        int64
	releases       int
	lease          int64
	leaseBridge    string
	leaseInstance  string
	leaseDelivery  string
	leaseUntil     int64
	deliveredUntil int64
	readUntil      int64

	dirty bool // watermarks apart, which receipts write
}

const laneColumns = `id, channel, contact, due_at, ready_at, releases, lease, lease_bridge, lease_instance, lease_delivery, lease_until, delivered_until, read_until`

func (l *laneRow) fields() []any {
	return []any{&l.id, &l.channel, &l.contact, &l.dueAt, &l.readyAt, &l.releases, &l.lease, &l.leaseBridge, &l.leaseInstance, &l.leaseDelivery, &l.leaseUntil,
		&l.deliveredUntil, &l.readUntil}
}

func scanLane(rows *sql.Rows) (l laneRow, err error) { return l, rows.Scan(l.fields()...) }

// heldBy says that this lease is in force for this delivery.
func (l *laneRow) heldBy(lease int64, delivery string, now time.Time) bool {
	return l.lease == lease && l.leaseDelivery == delivery && l.leaseUntil > ms(now)
}

// delivery is an outbound message in the outbox.
type delivery struct {
	message      string
	laneID       int64
	conversation string
	state        deliveryState
	action       message.Type
	authorKind   message.AuthorKind
	epoch        int64
	replyTo      string
	attempts     int
	firstAttempt int64
	reason       string

	parts   []partRow
	lane    *laneRow
	firstID string // the first external id that was told since it was read
	dirty   bool
	refresh bool // its message is in the ledger's list
}

const deliveryColumns = `d.message, d.lane, d.conversation, d.state, d.action, d.author_kind, d.epoch, d.reply_to, d.attempts, d.first_attempt_at, d.reason`

func (d *delivery) fields() []any {
	return []any{&d.message, &d.laneID, &d.conversation, &d.state, &d.action, &d.authorKind, &d.epoch, &d.replyTo, &d.attempts, &d.firstAttempt, &d.reason}
}

// partRow is one platform request of a delivery.
type partRow struct {
	index    int
	state    partState
	payload  string // where it is to be sent
	lease    int64
	unknowns int
	dirty    bool
}

func (p *partRow) set(s partState) {
	if p.state != s {
		p.state, p.dirty = s, true
	}
}

// content decodes what is to be sent.
func (p *partRow) content() (wire.Part, error) {
	var part wire.Part
	if err := json.Unmarshal([]byte(p.payload), &part); err != nil {
		return part, fmt.Errorf("part %d: %w", p.index, err)
	}
	return part, nil
}

// settle brings the parts that were not tried, and the delivery's state, in
// line with what became of the others.
func (d *delivery) settle() {
	states := make([]partState, len(d.parts))
	for i := range d.parts {
		states[i] = d.parts[i].state
	}
	settleRest(states)
	for i := range d.parts {
		d.parts[i].set(states[i])
	}
	next := deriveDelivery(states)
	if next == deliveryCancelled && d.state == deliverySuperseded {
		return
	}
	d.setState(next)
}

func (d *delivery) setState(s deliveryState) {
	if d.state != s {
		d.state, d.dirty = s, true
	}
}

func (d *delivery) setReason(reason string) {
	if reason != "" && d.reason != reason {
		d.reason, d.dirty = reason, true
	}
}

// withdraw cancels what was not tried. A part that is being sent stays: its
// outcome is still to come.
func (d *delivery) withdraw(to deliveryState, reason string) {
	for i := range d.parts {
		if p := &d.parts[i]; p.state == partQueued || p.state == partHeld {
			p.set(partCancelled)
		}
	}
	d.setReason(reason)
	if to == deliverySuperseded {
		d.setState(to)
	}
	d.settle()
}

// fail refuses what was not tried for good.
func (d *delivery) fail(reason string) {
	for i := range d.parts {
		if p := &d.parts[i]; p.state == partQueued || p.state == partHeld {
			p.set(partFailed)
			break // settle cancels the rest
		}
	}
	d.setReason(reason)
	d.settle()
}

// channelRow is a channel in the outbox, with its breaker.
type channelRow struct {
	name, bridge string
	dueAt        int64
	rounds       int64
	readyAt      int64
	tokens       float64 // of its rate, when they were counted
	refilledAt   int64
	refused      string
	breaker

	kept, dirty bool // it is in the database; it is not as there
}

const channelColumns = `channel, bridge, due_at, rounds, ready_at, paused_until, failures, tokens, refilled_at, refused, strikes, strike_lane`

func (c *channelRow) fields() []any {
	return []any{&c.name, &c.bridge, &c.dueAt, &c.rounds, &c.readyAt, &c.pausedUntil, &c.failures, &c.tokens, &c.refilledAt, &c.refused, &c.strikes, &c.strikeLane}
}

// channelState is what a ledger writes of a channel.
var channelState = []string{"due_at bigint", "rounds bigint", "ready_at bigint", "paused_until bigint", "failures bigint", "tokens float8",
	"refilled_at bigint", "refused text", "strikes bigint", "strike_lane bigint"}

func (c *channelRow) state() []any {
	return []any{c.dueAt, c.rounds, c.readyAt, c.pausedUntil, int64(c.failures), c.tokens, c.refilledAt, c.refused, int64(c.strikes), c.strikeLane}
}

// becomeDue makes a channel due no later than one of its lanes, as soon as it is
// ready. It says whether somebody should look.
func (c *channelRow) becomeDue(at int64) bool {
	if c.dueAt != 0 && (c.dueAt <= at || c.dueAt <= c.readyAt) {
		return false
	}
	c.dueAt, c.dirty = max(at, c.readyAt), true
	return true
}
