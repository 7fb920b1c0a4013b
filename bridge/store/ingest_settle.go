package store

import (
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Messages are taken in together: what is nearly all of the traffic costs a
// statement per table and transaction instead of one per message.
//
//	gather   a message waits; of all callers who share the transaction
//	settle   dedupe      one insert takes the keys of all; who gets none is a duplicate
//	         identify    one query for whom they are from; new people one by one
//	         profile     only where something changed
//	         answer      only where a survey's question is open
//	         converse    in memory; what begins or opens a conversation is written at once
//	         keep        one insert
//	         touch       one update of all conversations that were written into
//	         fetchMedia, route, applyParked: one by one, where there is something
//
// The order of a contact's messages is that in which they were gathered, and
// any other statement of the transaction settles first: nothing can tell the
// difference.

// gather keeps a message back until the next statement, or the end.
func (t *txn) gather(a *arrival) {
	t.wrote = true
	t.gathered = append(t.gathered, a)
}

// settle takes in what was gathered, and writes the rows that were kept back.
func (t *txn) settle() error {
	if err := t.settleMessages(); err != nil {
		return err
	}
	return t.writeRows()
}

// settleMessages takes in what was gathered.
func (t *txn) settleMessages() error {
	if len(t.gathered) == 0 {
		return nil
	}
	if err := t.writeRows(); err != nil { // they came before
		return err
	}
	set := t.gathered
	t.gathered = nil // what it does are statements, too
	set, err := t.dedupeAll(set)
	if err != nil || len(set) == 0 {
		return err
	}
	rows := make([][]any, len(set))
	for i, a := range set {
		if err := a.prepareRow(); err != nil {
			return err
		}
		row, err := a.keep()
		if err != nil {
			return err
		}
		rows[i] = row.values()
		*a.result = wire.ElementResult{Result: wire.ResultStored, ID: a.id}
		t.event(Event{Type: EventMessageCreated, Channel: a.channel.Name, Conversation: a.party.conversation, Contact: a.party.contact, MessageID: a.id})
	}
	if err := t.bulk(insertMessages, rows); err != nil {
		return err
	}
	if err := t.touchAll(set); err != nil {
		return err
	}
	return afterwards(set)
}

// prepareRow does what a message's row needs: its contact and conversation.
func (a *arrival) prepareRow() error {
	for _, stage := range []stage{(*arrival).identify, (*arrival).profile, (*arrival).noteAd, (*arrival).answer, (*arrival).converse} {
		if _, err := stage(a); err != nil {
			return err
		}
	}
	return nil
}

// afterwards does what needs the rows.
func afterwards(set []*arrival) error {
	for _, a := range set {
		if err := a.t.insertMedia(a.id, a.media); err != nil {
			return err
		}
		if err := a.route(); err != nil {
			return err
		}
		if a.waiting {
			if err := a.s.applyParked(a.t, a.channel, a.key, a.id, a.direction); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	insertKeys = bulkInsert("external_ids", "ON CONFLICT DO NOTHING", "channel text", "kind text", "external_id text", "direction text", "id text")
	touchRows  = bulkUpdate("conversations", []string{"id text"}, "updated_at bigint", "last_inbound_at bigint")
	// touchMany is touchRows with SQLite, for conversations that were written into at
	// the same time: a third of the price of a statement for each. OR FAIL: see
	// bulkInsert; the table has a trigger, which else makes SQLite copy each page that
	// it changes.
	touchMany = `UPDATE OR FAIL conversations SET updated_at = ?, last_inbound_at = ? WHERE ` + sqliteDialect{}.among("id")
)

// dedupeAll takes the messages under their unique keys and returns those that
// were not taken before: the constraint decides, nothing that is remembered
// elsewhere. On the same way it asks whom they are from and what waits for them.
func (t *txn) dedupeAll(set []*arrival) ([]*arrival, error) {
	keys, rows := make([][2]string, len(set)), make([][]any, len(set))
	parties, addresses := make(map[[2]string]*party, len(set)), make([][2]string, 0, len(set))
	for i, a := range set {
		a.id = t.newID()
		keys[i] = [2]string{a.key, a.channel.Name}
		rows[i] = []any{a.channel.Name, a.kind, a.key, string(a.direction), a.id}
		at := [2]string{a.who().ExternalID, a.channel.Name}
		if a.party = parties[at]; a.party == nil {
			a.party = &party{}
			parties[at], addresses = a.party, append(addresses, at)
		}
	}
	waiting := map[[2]string]bool{}
	targets := slices.Clone(keys)
	for _, at := range addresses {
		targets = append(targets, [2]string{watermarkTarget(at[0]), at[1]})
	}
	taken, err := t.bulkThen(insertKeys, rows, t.parties(addresses, parties), t.waitedFor(targets, waiting))
	if err != nil {
		return nil, err
	}
	for i, a := range set {
		a.waiting = waiting[keys[i]]
		a.watermarked = waiting[[2]string{watermarkTarget(a.who().ExternalID), a.channel.Name}]
	}
	if int(taken) == len(set) {
		return set, nil
	}
	return t.withoutDuplicates(set, keys)
}

// waitedFor finds the messages, and contacts, that parked events wait for.
func (t *txn) waitedFor(keys [][2]string, into map[[2]string]bool) question {
	return question{
		query: `SELECT p.target, p.channel FROM ` + t.c.db.pairs() + ` JOIN parked_events p ON p.target = w.a AND p.channel = w.b
			WHERE EXISTS (SELECT 1 FROM parked_events)`, // else nothing has to be looked for
		args: t.c.db.pairList(keys),
		row: func(scan func(...any) error) error {
			var key [2]string
			err := scan(&key[0], &key[1])
			into[key] = true
			return err
		},
	}
}

// withoutDuplicates asks who has the keys, where some were taken before.
func (t *txn) withoutDuplicates(set []*arrival, keys [][2]string) ([]*arrival, error) {
	type name struct{ key, channel, kind, direction string }
	owners := make(map[name]string, len(set))
	err := t.ask(question{
		query: `SELECT x.external_id, x.channel, x.kind, x.direction, x.id FROM ` + t.c.db.pairs() + ` JOIN external_ids x ON x.external_id = w.a AND x.channel = w.b`,
		args:  t.c.db.pairList(keys),
		row: func(scan func(...any) error) error {
			var n name
			var id string
			err := scan(&n.key, &n.channel, &n.kind, &n.direction, &id)
			owners[n] = id
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	fresh := make([]*arrival, 0, len(set))
	for _, a := range set {
		owner := owners[name{a.key, a.channel.Name, a.kind, string(a.direction)}]
		if owner == a.id {
			fresh = append(fresh, a)
			continue
		}
		*a.result = wire.ElementResult{Result: wire.ResultDuplicate, ID: owner}
	}
	return fresh, nil
}

// touchAll makes the conversations that were written into those with the latest
// activity.
func (t *txn) touchAll(set []*arrival) error {
	var ids []string
	for _, a := range set {
		if a.party.written {
			a.party.written = false // once is enough
			ids = append(ids, a.party.conversation)
		}
	}
	now := ms(t.now)
	switch {
	case len(ids) == 0:
		return nil
	case t.c.db.postgres == nil:
		return t.later(touchMany, now, now, inJSON(ids))
	}
	rows := make([][]any, len(ids))
	for i, id := range ids {
		rows[i] = []any{now, now, id}
	}
	return t.bulk(touchRows, rows)
}
