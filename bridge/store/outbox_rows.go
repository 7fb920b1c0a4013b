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
	readyAt        int64
	releases       int
	lease          int64
	leaseBridge    string
	leaseDelivery  string
	leaseUntil     int64
	deliveredUntil int64
	readUntil      int64
}

const laneColumns = `id, channel, contact, ready_at, releases, lease, lease_bridge, lease_delivery, lease_until, delivered_until, read_until`

func (l *laneRow) fields() []any {
	return []any{&l.id, &l.channel, &l.contact, &l.readyAt, &l.releases, &l.lease, &l.leaseBridge, &l.leaseDelivery, &l.leaseUntil, &l.deliveredUntil, &l.readUntil}
}

func scanLane(rows *sql.Rows) (l laneRow, err error) { return l, rows.Scan(l.fields()...) }

// heldBy says that this lease is in force for this delivery.
func (l *laneRow) heldBy(lease int64, delivery string, now time.Time) bool {
	return l.lease == lease && l.leaseDelivery == delivery && l.leaseUntil > ms(now)
}

// delivery is an outbound message in the outbox.
type delivery struct {
	message      string
	lane         int64
	conversation string
	state        deliveryState
	action       message.Type
	authorKind   message.AuthorKind
	epoch        int64
	replyTo      string
	attempts     int
	firstAttempt int64
	reason       string

	parts []partRow
	dirty bool
}

const deliveryColumns = `d.message, d.lane, d.conversation, d.state, d.action, d.author_kind, d.epoch, d.reply_to, d.attempts, d.first_attempt_at, d.reason`

func (d *delivery) fields() []any {
	return []any{&d.message, &d.lane, &d.conversation, &d.state, &d.action, &d.authorKind, &d.epoch, &d.replyTo, &d.attempts, &d.firstAttempt, &d.reason}
}

// partRow is one platform request of a delivery.
type partRow struct {
	index    int
	state    partState
	payload  string
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

func scanPart(rows *sql.Rows) (p partRow, err error) {
	return p, rows.Scan(&p.index, &p.state, &p.payload, &p.lease, &p.unknowns)
}

// loadParts reads a delivery's parts in order.
func (d *delivery) loadParts(t *txn) (err error) {
	d.parts, err = all(background, t, scanPart, `SELECT part, state, payload, lease, unknowns FROM delivery_parts WHERE message = ? ORDER BY part`, d.message)
	return err
}

// loadDelivery reads a delivery and its lane; nil when there is none (any more).
func loadDelivery(t *txn, id string) (*delivery, *laneRow, error) {
	d, l := &delivery{}, &laneRow{}
	found, err := one(background, t, append(d.fields(), l.fields()...),
		`SELECT `+deliveryColumns+`, l.id, l.channel, l.contact, l.ready_at, l.releases, l.lease, l.lease_bridge, l.lease_delivery, l.lease_until, l.delivered_until, l.read_until
		FROM deliveries d JOIN lanes l ON l.id = d.lane WHERE d.message = ?`, id)
	if err != nil || !found {
		return nil, nil, err
	}
	return d, l, d.loadParts(t)
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

// save writes what has changed.
func (d *delivery) save(t *txn) error {
	for i := range d.parts {
		p := &d.parts[i]
		if !p.dirty {
			continue
		}
		if err := t.later(`UPDATE delivery_parts SET state = ?, lease = ?, unknowns = ? WHERE message = ? AND part = ?`,
			string(p.state), p.lease, p.unknowns, d.message, p.index); err != nil {
			return err
		}
		p.dirty = false
	}
	if !d.dirty {
		return nil
	}
	d.dirty = false
	err := t.later(`UPDATE deliveries SET state = ?, attempts = ?, first_attempt_at = ?, reason = ? WHERE message = ?`,
		string(d.state), d.attempts, d.firstAttempt, d.reason, d.message)
	return err
}
