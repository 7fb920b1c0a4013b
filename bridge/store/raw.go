package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const selectRaw = `SELECT id, platform, namespace, channel, transport, received_at, unrouted, LENGTH(payload) FROM raw_entries `

func scanRaw(rows *sql.Rows) (e RawEntry, err error) {
	var received, unrouted int64
	err = rows.Scan(&e.ID, &e.Platform, &e.Namespace, &e.Channel, &e.Transport, &received, &unrouted, &e.Size)
	e.ReceivedAt, e.Unrouted = fromMS(received), unrouted == 1
	return e, err
}

// RawEntries lists the raw journal, oldest first. A list comes without
// payloads; ask for one ID to get its payload.
func (s *Store) RawEntries(ctx context.Context, scope Scope, q RawQuery) (Page[RawEntry], error) {
	p, err := s.rawEntries(ctx, scope, q)
	for i := range p.Items {
		e := &p.Items[i]
		_, e.Channel = splitChannel(e.Channel)
		if q.ID != "" {
			if e.Payload, _, err = s.payload(ctx, e.ID); err != nil {
				return Page[RawEntry]{}, err
			}
		}
	}
	return p, err
}

// payload is what an entry holds, and for whom it was vouched.
func (s *Store) payload(ctx context.Context, id string) (payload []byte, tr trust, err error) {
	var column string
	if _, err = one(ctx, s.read, []any{&payload, &column}, `SELECT payload, trust FROM raw_entries WHERE id = ?`, id); err != nil {
		return nil, tr, err
	}
	tr, err = decodeTrust(column)
	return payload, tr, err
}

// rawEntries lists entries without payload and with Channel as "namespace/name".
func (s *Store) rawEntries(ctx context.Context, scope Scope, q RawQuery) (Page[RawEntry], error) {
	limit, err := limitOf(q.PageQuery)
	if err != nil {
		return Page[RawEntry]{}, err
	}
	pos, from, err := after(listRaw, q.After)
	if err != nil {
		return Page[RawEntry]{}, err
	}
	var c conditions
	if q.Channel != "" {
		if err := seeChannel(scope, q.Channel); err != nil {
			return Page[RawEntry]{}, err
		}
		c.add("channel = ?", q.Channel)
	}
	if !scope.All {
		namespaces := slices.Compact(slices.Sorted(slices.Values(scope.Namespaces)))
		if namespaces = slices.DeleteFunc(namespaces, func(ns string) bool { return ns == "" }); len(namespaces) == 0 {
			return Page[RawEntry]{Items: []RawEntry{}}, nil
		}
		c.add("namespace IN "+in(len(namespaces)), anys(namespaces)...)
	}
	if q.ID != "" {
		c.add("id = ?", q.ID)
	}
	if q.Unrouted {
		c.add("unrouted = 1")
	}
	if !q.Since.IsZero() {
		// received_at is when the bridge had it; ids are drawn a little later.
		c.add("id >= ?", idBefore(q.Since))
		c.add("received_at >= ?", ms(q.Since))
	}
	if from {
		c.add("id > ?", pos.ID)
	}
	list, cut, err := settled(ctx, s, limit+1, func(e RawEntry) string { return e.ID }, func(from querier) ([]RawEntry, error) {
		return all(ctx, from, scanRaw, selectRaw+c.where()+`ORDER BY id LIMIT ?`, append(c.args, limit+1)...)
	})
	if err != nil {
		return Page[RawEntry]{}, err
	}
	p := page(list, limit, func(e RawEntry) position { return position{List: listRaw, ID: e.ID} })
	if cut {
		last := pos.ID
		if len(list) > 0 {
			last = list[len(list)-1].ID
		}
		p.Next = goOn(listRaw, last)
	}
	return p, nil
}

// replayPage is how many raw entries are parsed and ingested at a time.
const replayPage = 50

// Replay parses raw entries again, with the platform's parser of this version
// and the channels of the document in force, and ingests what is missing.
// Whatever was stored before is a duplicate; cursors of connections do not
// move. Entries older than messages are kept are left out: what retention
// removed does not come back. What an event says of its account leads no further
// than the request was trusted when it came; see trust.
func (s *Store) Replay(ctx context.Context, scope Scope, q RawQuery) (ReplayResult, error) {
	var total ReplayResult
	if keep := time.Duration(s.state.Load().settings.Retention.Messages); keep > 0 {
		if oldest := s.removalTime().Add(-keep); q.Since.Before(oldest) {
			q.Since = oldest
		}
	}
	q.Limit = replayPage
	for {
		p, err := s.rawEntries(ctx, scope, q)
		if err != nil {
			return total, err
		}
		for _, e := range p.Items {
			if err := s.replay(ctx, scope, e, q.ID != "", &total); err != nil {
				return total, fmt.Errorf("raw entry %s: %w", e.ID, err)
			}
		}
		if q.After = p.Next; p.Next == "" {
			return total, nil
		}
		if len(p.Items) == 0 { // nothing is settled yet
			pause(ctx, quietWait, nil)
		}
	}
}

// replay ingests one entry again; named says that the caller asked for this very one.
func (s *Store) replay(ctx context.Context, scope Scope, raw RawEntry, named bool, total *ReplayResult) error {
	total.Entries++
	st := s.state.Load()
	parse := s.opts.Parsers[raw.Platform]
	if parse == nil {
		total.Invalid++
		return nil
	}
	accountID := ""
	own := cameIn(st, raw)
	if own != nil {
		accountID = own.Account
	}
	payload, tr, err := s.payload(ctx, raw.ID)
	if err != nil {
		return err
	}
	tr.named = named
	events, err := parse(accountID, payload)
	if err != nil {
		total.Invalid++
		return nil //nolint:nilerr // a payload that cannot be parsed is a result, not a failure
	}
	env := wire.Envelope{Platform: raw.Platform, ReceivedAt: raw.ReceivedAt, Transport: "replay"}
	for _, ev := range events {
		env.Elements = append(env.Elements, wire.Element{Channel: routeAgain(st, own, raw.Platform, tr, ev), Event: ev})
	}
	in := s.prepare(routeWithin(st, scope), &env)
	in.raw = raw.ID
	var result wire.EnvelopeResult
	needs := newLocks()
	in.needs(needs)
	if err := s.writeLocked(ctx, 1+len(in.elements), needs, func(t *txn) (err error) {
		if result, err = s.take(t, in); err != nil || !raw.Unrouted {
			return err
		}
		return t.rerouted(in)
	}); err != nil {
		return err
	}
	total.count(result.Elements)
	return nil
}

// cameIn is the channel whose URL or poller a payload came in on, if there is
// one of that name and platform now: it may be younger than the payload.
func cameIn(st *state, raw RawEntry) *Channel {
	if ch := st.channel(raw.Channel); ch != nil && ch.Platform == raw.Platform {
		return ch
	}
	return nil
}

// routeAgain finds the channel of a replayed event: the one that the payload
// came in on (own, nil where there is none) unless the event names another
// account, else the one that has this account now, if the payload may be given
// to it.
func routeAgain(st *state, own *Channel, platform string, tr trust, ev message.Event) string {
	if own != nil && (ev.Account == "" || ev.Account == own.Account) && !tr.refused(own) {
		return own.Name
	}
	if ch := st.accounts[account{platform, ev.Account}]; ch != nil && tr.covers(ch) {
		return ch.Name
	}
	return ""
}

// routeWithin is the router of a replay: no Bridge calls, but nothing outside
// the caller's namespaces is written.
func routeWithin(st *state, scope Scope) router {
	return func(name string) (*Channel, wire.Result) {
		if ch := st.channel(name); ch != nil && scope.Allows(ch.Namespace) {
			return ch, ""
		}
		return nil, wire.ResultUnrouted
	}
}

// rerouted takes the mark off an entry that has found its channels.
func (t *txn) rerouted(env *intake) error {
	channel, namespace, unrouted, any := whereabouts(env)
	if unrouted || !any {
		return nil
	}
	_, err := t.exec(`UPDATE raw_entries SET unrouted = 0, channel = ?, namespace = ? WHERE id = ?`, channel, namespace, env.raw)
	return err
}

func (r *ReplayResult) count(results []wire.ElementResult) {
	for _, e := range results {
		switch e.Result {
		case wire.ResultStored, wire.ResultParked:
			r.Stored++
		case wire.ResultDuplicate:
			r.Duplicates++
		case wire.ResultInvalid:
			r.Invalid++
		default:
			r.Unrouted++
		}
	}
}
