package store

import (
	"cmp"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// ledger is what one function of a transaction works on in the outbox. Rows are
// read together, changed in memory, and written together at its end, so that a
// hundred messages cost as many statements as one:
//
//	load ──► deliveries, parts, lanes ──► turns, verdicts, claims (memory)
//	                                          │
//	save ──► parts, deliveries, ids ──► what follows from all of it: statuses of
//	         messages, which lanes have something left ──► lanes, channels
//
// The outbox lock of a channel stands for all its rows. What does more than
// that (an echo to absorb, a parked event, a new address) goes to the database
// by itself; settle writes before it what it may read.
type ledger struct {
	s *Store
	t *txn

	channels   map[string]*channelRow
	lanes      map[int64]*laneRow
	deliveries map[string]*delivery
	ids        map[address]*externalID

	sentIDs, keys [][]any        // rows to insert
	refreshed     []*delivery    // whose messages are to be brought in line
	ended         []*laneRow     // whose turns are over
	effects       []func() error // done after everything else
}

// externalID is what is known about a platform's id of something sent.
type externalID struct {
	owner  string // the message that has it; "": none
	parked bool   // events wait for it
}

func (s *Store) newLedger(t *txn) *ledger {
	return &ledger{s: s, t: t, channels: map[string]*channelRow{}, lanes: map[int64]*laneRow{}, deliveries: map[string]*delivery{}, ids: map[address]*externalID{}}
}

// ledgerSQL are its statements.
type ledgerSQL struct {
	deliveries, parts, channels, owners, parked string
	receipts, statuses, busy                    string

	saveParts, saveDeliveries, saveLanes, saveChannels, newChannels, saveMessages, newSentIDs, newKeys *bulk
}

func newLedgerSQL(d dialect) ledgerSQL {
	return ledgerSQL{
		deliveries: `SELECT ` + deliveryColumns + `, ` + laneColumns + ` FROM deliveries d JOIN lanes l ON l.id = d.lane WHERE ` + d.among("d.message"),
		parts:      `SELECT message, part, state, lease, unknowns FROM delivery_parts WHERE ` + d.among("message") + ` ORDER BY message, part`,
		channels:   `SELECT ` + channelColumns + ` FROM outbox_channels WHERE ` + d.among("channel"),
		owners: `SELECT x.channel, x.external_id, x.id FROM ` + d.pairs() + ` JOIN external_ids x ON x.external_id = w.b AND x.channel = w.a
			AND x.kind = 'message' AND x.direction = 'outbound'`,
		parked: `SELECT p.channel, p.target FROM ` + d.pairs() + ` JOIN parked_events p ON p.channel = w.a AND p.target = w.b`,

		receipts: `SELECT message, receipt, reason FROM sent_ids WHERE ` + d.among("message") + ` AND part >= 0 ORDER BY message, part, external_id`,
		statuses: `SELECT id, status, reason, external_id FROM messages WHERE ` + d.among("id"),
		// Not EXISTS: planners make a join of it and walk everything that is queued.
		busy: `SELECT f.lane FROM (SELECT w.value AS lane, (SELECT message FROM deliveries WHERE lane = w.value AND state = 'queued' LIMIT 1) AS message
			FROM ` + d.values("bigint") + `) AS f WHERE f.message IS NOT NULL`,

		saveParts:      bulkUpdate("delivery_parts", []string{"message text", "part bigint"}, "state text", "lease bigint", "unknowns bigint"),
		saveDeliveries: bulkUpdate("deliveries", []string{"message text"}, "state text", "attempts bigint", "first_attempt_at bigint", "reason text"),
		saveLanes: bulkUpdate("lanes", []string{"id bigint"}, "due_at bigint", "ready_at bigint", "releases bigint", "lease bigint",
			"lease_bridge text", "lease_instance text", "lease_delivery text", "lease_until bigint"),
		saveChannels: bulkUpdate("outbox_channels", []string{"channel text"}, channelState...),
		newChannels:  bulkInsert("outbox_channels", "", append(slices.Clone(channelState), "channel text", "bridge text")...),
		saveMessages: bulkUpdate("messages", []string{"id text"}, "status text", "reason text", "external_id text"),
		newSentIDs: bulkInsert("sent_ids", "ON CONFLICT DO NOTHING", "channel text", "external_id text", "message text", "part bigint",
			"lane bigint", "sent_at bigint", "receipt text"),
		newKeys: bulkInsert("external_ids", "", "external_id text", "channel text", "kind text", "direction text", "id text"),
	}
}

// load reads deliveries with their parts and lanes, and rows of channels. Those
// that are not there (any more) are left out.
func (b *ledger) load(messages, channels []string) error { return b.loadWith(messages, channels) }

// loadWith asks something else on the same way.
func (b *ledger) loadWith(messages, channels []string, more ...question) error {
	list := b.t.c.db.list
	var questions []question
	if len(messages) > 0 {
		questions = append(questions, question{b.sql().deliveries, []any{list(messages)}, b.takeDelivery}, question{b.sql().parts, []any{list(messages)}, b.takePart})
	}
	if len(channels) > 0 {
		questions = append(questions, question{b.sql().channels, []any{list(channels)}, b.takeChannel})
	}
	if err := b.t.ask(append(questions, more...)...); err != nil {
		return err
	}
	for _, name := range channels {
		b.known(name)
	}
	return nil
}

func (b *ledger) sql() *ledgerSQL { return &b.s.outbox.sql.ledgerSQL }

func (b *ledger) takeDelivery(scan func(...any) error) error {
	d, l := &delivery{}, &laneRow{}
	if err := scan(append(d.fields(), l.fields()...)...); err != nil {
		return err
	}
	d.lane = b.lane(l)
	b.deliveries[d.message] = d
	return nil
}

// lane is the one row that stands for a lane here.
func (b *ledger) lane(l *laneRow) *laneRow {
	if have := b.lanes[l.id]; have != nil {
		return have
	}
	b.lanes[l.id] = l
	return l
}

func (b *ledger) takePart(scan func(...any) error) error {
	var id string
	var p partRow
	if err := scan(&id, &p.index, &p.state, &p.lease, &p.unknowns); err != nil {
		return err
	}
	if d := b.deliveries[id]; d != nil {
		d.parts = append(d.parts, p)
	}
	return nil
}

func (b *ledger) takeChannel(scan func(...any) error) error {
	c := &channelRow{kept: true}
	err := scan(c.fields()...)
	b.channels[c.name] = c
	return err
}

// known is the row of a channel that was read; one that is not there is made.
func (b *ledger) known(name string) *channelRow {
	c := b.channels[name]
	if c == nil {
		c = &channelRow{name: name}
		b.channels[name] = c
	}
	return c
}

// channel is the row of a channel.
func (b *ledger) channel(name string) (*channelRow, error) {
	if b.channels[name] == nil {
		if err := b.load(nil, []string{name}); err != nil {
			return nil, err
		}
	}
	return b.channels[name], nil
}

// delivery is one delivery with its lane; nil when there is none.
func (b *ledger) delivery(id string) (*delivery, error) {
	if b.deliveries[id] == nil {
		if err := b.load([]string{id}, nil); err != nil {
			return nil, err
		}
	}
	return b.deliveries[id], nil
}

// refresh brings a message's status in line with its delivery, when the ledger
// is saved.
func (b *ledger) refresh(d *delivery) {
	if !d.refresh {
		d.refresh = true
		b.refreshed = append(b.refreshed, d)
	}
}

// settle writes what statements may read before the ledger is saved.
func (b *ledger) settle() error {
	sql := b.sql()
	ids, keys := b.sentIDs, b.keys
	b.sentIDs, b.keys = nil, nil
	var parts, deliveries [][]any
	for _, d := range b.inOrder() {
		for i := range d.parts {
			if p := &d.parts[i]; p.dirty {
				p.dirty = false
				parts = append(parts, []any{string(p.state), p.lease, int64(p.unknowns), d.message, int64(p.index)})
			}
		}
		if d.dirty {
			d.dirty = false
			b.refresh(d)
			deliveries = append(deliveries, []any{string(d.state), int64(d.attempts), d.firstAttempt, d.reason, d.message})
		}
	}
	for _, w := range []struct {
		bulk *bulk
		rows [][]any
	}{{sql.newKeys, keys}, {sql.newSentIDs, ids}, {sql.saveParts, parts}, {sql.saveDeliveries, deliveries}} {
		if err := b.t.bulk(w.bulk, w.rows); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are the deliveries, oldest first, so that what is written and told
// does not depend on a map.
func (b *ledger) inOrder() []*delivery {
	list := make([]*delivery, 0, len(b.deliveries))
	for _, d := range b.deliveries {
		list = append(list, d)
	}
	slices.SortFunc(list, func(x, y *delivery) int { return cmp.Compare(x.message, y.message) })
	return list
}

// save writes the ledger, and what follows from it.
func (b *ledger) save() error {
	if err := b.settle(); err != nil {
		return err
	}
	follow, err := b.consequences()
	if err != nil {
		return err
	}
	messages := b.saveMessages(follow)
	for _, l := range b.ended {
		if err := b.requeue(l, follow.busy[l.id]); err != nil {
			return err
		}
	}
	b.ended = nil
	if err := b.t.bulk(b.sql().saveMessages, messages); err != nil {
		return err
	}
	if err := b.saveRows(); err != nil {
		return err
	}
	for _, effect := range b.effects {
		if err := effect(); err != nil {
			return err
		}
	}
	b.effects = nil
	return nil
}

// consequences is what is read after everything was written.
type consequences struct {
	statuses map[string]*messageState
	receipts map[string][]receiptState
	busy     map[int64]bool // lanes with something to send
}

// messageState is what people see of a message.
type messageState struct {
	status             message.Status
	reason, externalID string
}

type receiptState struct {
	status message.Status
	reason string
}

func (b *ledger) consequences() (*consequences, error) {
	c := &consequences{statuses: map[string]*messageState{}, receipts: map[string][]receiptState{}, busy: map[int64]bool{}}
	var refreshed, sent []string
	for _, d := range b.refreshed {
		refreshed = append(refreshed, d.message)
		if d.state == deliverySent {
			sent = append(sent, d.message)
		}
	}
	var ended []int64
	for _, l := range b.ended {
		ended = append(ended, l.id)
	}
	sql, list := b.sql(), b.t.c.db.list
	var questions []question
	if len(refreshed) > 0 {
		questions = append(questions, question{sql.statuses, []any{list(refreshed)}, func(scan func(...any) error) error {
			var id string
			var m messageState
			err := scan(&id, &m.status, &m.reason, &m.externalID)
			c.statuses[id] = &m
			return err
		}})
	}
	if len(sent) > 0 {
		questions = append(questions, question{sql.receipts, []any{list(sent)}, func(scan func(...any) error) error {
			var id string
			var r receiptState
			err := scan(&id, &r.status, &r.reason)
			c.receipts[id] = append(c.receipts[id], r)
			return err
		}})
	}
	if len(ended) > 0 {
		questions = append(questions, question{sql.busy, []any{list(ended)}, func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			c.busy[id] = true
			return err
		}})
	}
	if len(questions) == 0 {
		return c, nil
	}
	return c, b.t.ask(questions...)
}

// saveMessages brings statuses, reasons and first external ids in line; a change
// of the first two is an event.
func (b *ledger) saveMessages(c *consequences) (rows [][]any) {
	for _, d := range b.refreshed {
		d.refresh = false
		have := c.statuses[d.message]
		if have == nil {
			continue
		}
		status, reason := d.status(c.receipts[d.message])
		first := have.externalID
		if first == "" {
			first = d.firstID
		}
		changed := status != have.status || reason != have.reason
		if !changed && first == have.externalID {
			continue
		}
		rows = append(rows, []any{string(status), reason, first, d.message})
		if !changed {
			continue
		}
		b.t.event(Event{Type: EventMessageUpdated, Channel: d.lane.channel, Conversation: d.conversation, Contact: d.lane.contact, MessageID: d.message})
		if status != have.status && d.authorKind == message.AuthorSurvey {
			b.effects = append(b.effects, func() error { return b.t.surveyDelivered(d.message, d.lane.channel, status) })
		}
		if status != have.status {
			b.t.afterCommit(func() { b.s.outbox.metrics.status(status) })
		}
	}
	b.refreshed = nil
	return rows
}

// status is what people see of a delivery, and why when that is not good.
func (d *delivery) status(receipts []receiptState) (message.Status, string) {
	switch d.state {
	case deliverySent:
	case deliveryQueued:
		return message.StatusQueued, ""
	default:
		return messageStatus(d.state, nil), d.reason
	}
	statuses, reason := make([]message.Status, len(receipts)), ""
	for i, r := range receipts {
		statuses[i] = r.status
		if r.status == message.StatusFailed && reason == "" {
			reason = r.reason
		}
	}
	return messageStatus(d.state, statuses), reason
}

// saveRows writes lanes and channels.
func (b *ledger) saveRows() error {
	var lanes, channels, fresh [][]any
	for _, l := range b.lanes {
		if l.dirty {
			l.dirty = false
			lanes = append(lanes, []any{l.dueAt, l.readyAt, int64(l.releases), l.lease, l.leaseBridge, l.leaseInstance, l.leaseDelivery, l.leaseUntil, l.id})
		}
	}
	for _, c := range b.channels {
		switch {
		case !c.dirty:
			continue
		case c.kept:
			channels = append(channels, append(c.state(), c.name))
		default:
			fresh = append(fresh, append(c.state(), c.name, c.bridge))
		}
		c.dirty, c.kept = false, true
	}
	sql := b.sql()
	for _, w := range []struct {
		bulk *bulk
		rows [][]any
	}{{sql.saveLanes, lanes}, {sql.newChannels, fresh}, {sql.saveChannels, channels}} {
		if err := b.t.bulk(w.bulk, w.rows); err != nil {
			return err
		}
	}
	return nil
}
