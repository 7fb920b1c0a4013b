package store

import (
	"encoding/json"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// sendSQL are the statements of sending.
type sendSQL struct {
	conversations, lockConversations, keys, windows, lanes string

	newLanes, newMessages, newDeliveries, newParts, newKeys, touch *bulk
}

func newSendSQL(d dialect) sendSQL {
	q := sendSQL{
		conversations: selectConversations + `WHERE ` + d.among("v.id"),
		keys: `SELECT w.a, w.b, COALESCE(k.message, ''), COALESCE(k.hash, x.hash) FROM ` + d.pairs() + `
			LEFT JOIN idempotency_keys k ON k.namespace = w.a AND k.key = w.b
			LEFT JOIN idempotent_writes x ON x.namespace = w.a AND x.key = w.b
			WHERE k.key IS NOT NULL OR x.key IS NOT NULL`,
		windows: `SELECT v.channel, v.contact, MAX(v.last_inbound_at), MAX(i.acted_at), MAX(i.ad_at) FROM conversations v JOIN identities i ON i.id = v.identity
			WHERE ` + d.among("v.contact") + ` GROUP BY v.channel, v.contact`,
		lanes: `SELECT ` + laneColumns + ` FROM lanes WHERE ` + d.among("contact"),

		newLanes: bulkInsert("lanes", "RETURNING "+laneColumns, "channel text", "contact text"),
		newMessages: bulkInsert("messages", "", "id text", "channel text", "conversation text", "direction text", "type text", "timestamp bigint",
			"author_kind text", "author_name text", "text text", "content text", "reply_to text", "status text"),
		newDeliveries: bulkInsert("deliveries", "", "message text", "lane bigint", "conversation text", "state text", "action text", "author_kind text",
			"epoch bigint", "reply_to text"),
		newParts: bulkInsert("delivery_parts", "", "message text", "part bigint", "state text", "payload text"),
		newKeys:  bulkInsert("idempotency_keys", "", "namespace text", "key text", "hash text", "message text", "created_at bigint"),
		touch:    bulkUpdate("conversations", []string{"id text"}, "updated_at bigint"),
	}
	if lock := d.forUpdate(); lock != "" { // all in one order
		q.lockConversations = `SELECT id FROM conversations WHERE ` + d.among("id") + ` ORDER BY id` + lock
	}
	return q
}

// queueing is a group on its way into the database.
type queueing struct {
	*ledger
	sql *sendSQL

	keys    map[[2]string]keyRow
	convs   map[string]convRow
	byParty map[address]*laneRow
	windows map[address]acts

	messages, deliveries, parts, newKeys, touched [][]any
	media                                         [][2]string // message, media
}

// queueTogether puts messages into the database, each in the last place of its
// lane. One that is refused after all has its error, and no other is touched by
// it.
func (s *Store) queueTogether(t *txn, list []*outgoing) error {
	if len(list) == 0 {
		return nil
	}
	q := &queueing{ledger: s.newLedger(t), sql: &s.outbox.sql.sendSQL, keys: map[[2]string]keyRow{}, convs: map[string]convRow{},
		byParty: map[address]*laneRow{}, windows: map[address]acts{}}
	if err := q.readConversations(list); err != nil {
		return err
	}
	if err := q.readLanes(list); err != nil {
		return err
	}
	for _, o := range list {
		if o.first, o.err = q.add(o); o.err != nil && t.failed {
			return o.err
		}
	}
	return q.write()
}

// readConversations reads what decides whether a message may be queued.
func (q *queueing) readConversations(list []*outgoing) error {
	var ids []string
	for _, o := range list {
		ids = append(ids, o.conv.id)
	}
	arg := []any{q.t.c.db.list(ids)}
	var questions []question
	if q.sql.lockConversations != "" {
		questions = append(questions, question{q.sql.lockConversations, arg, func(scan func(...any) error) error { return scan(new(string)) }})
	}
	questions = append(questions, question{q.sql.conversations, arg, func(scan func(...any) error) error {
		v, err := readConversation(scan)
		q.convs[v.id] = v
		return err
	}})
	if keys := keysOf(list); len(keys) > 0 {
		questions = append(questions, question{q.sql.keys, q.t.c.db.pairList(keys), func(scan func(...any) error) error {
			var k keyRow
			err := scan(&k.namespace, &k.key, &k.message, &k.hash)
			q.keys[[2]string{k.namespace, k.key}] = k
			return err
		}})
	}
	return q.t.ask(questions...)
}

// readLanes reads the lanes of the contacts, with their channels, and makes
// those that are missing.
func (q *queueing) readLanes(list []*outgoing) error {
	var contacts, channels []string
	for _, o := range list {
		if v, ok := q.convs[o.conv.id]; ok {
			contacts, channels = append(contacts, v.contact), append(channels, v.channel)
		}
	}
	questions := []question{{q.sql.lanes, []any{q.t.c.db.list(contacts)}, q.takeLane}}
	if len(ofWindows(list)) > 0 {
		questions = append(questions, question{q.sql.windows, []any{q.t.c.db.list(contacts)}, func(scan func(...any) error) error {
			var w windowRow
			err := scan(w.fields()...)
			q.windows[w.address] = w.acts()
			return err
		}})
	}
	if err := q.loadWith(nil, channels, questions...); err != nil {
		return err
	}
	var missing [][]any
	for _, o := range list {
		v := q.convs[o.conv.id]
		at := address{v.channel, v.contact}
		if _, ok := q.byParty[at]; !ok && v.id != "" {
			q.byParty[at] = nil // once
			missing = append(missing, []any{v.channel, v.contact})
		}
	}
	return q.t.bulkReturning(q.sql.newLanes, missing, q.takeLane)
}

func (q *queueing) takeLane(scan func(...any) error) error {
	l := &laneRow{}
	err := scan(l.fields()...)
	q.byParty[address{l.channel, l.contact}] = q.lane(l)
	return err
}

// add queues one message. It returns the first one where the request is repeated.
func (q *queueing) add(o *outgoing) (id string, err error) {
	if id, err := o.repeats(q.keys); err != nil || id != "" {
		return id, err
	}
	conv, ok := q.convs[o.conv.id]
	if !ok {
		return "", notThere(o.conv.id)
	}
	if err := o.allowed(conv, q.windows[address{conv.channel, conv.contact}]); err != nil {
		return "", err
	}
	if err := q.s.mayLink(q.t, conv.namespace, o.media); err != nil {
		return "", err
	}
	content, err := encodeContent(o.m)
	if err != nil {
		return "", err
	}
	var parts [][]any
	id = q.t.newID()
	for _, p := range o.parts {
		payload, err := json.Marshal(p)
		if err != nil {
			return "", err
		}
		parts = append(parts, []any{id, int64(p.Index), string(partQueued), string(payload)})
	}
	return id, q.keep(o, conv, id, content, parts)
}

func (q *queueing) keep(o *outgoing, conv convRow, id, content string, parts [][]any) error {
	author, now := o.req.Author, ms(q.t.now)
	epoch := int64(0)
	if automated(author.Kind) {
		epoch = o.req.Epoch
	}
	l := q.byParty[address{conv.channel, conv.contact}]
	q.messages = append(q.messages, []any{id, conv.channel, conv.id, string(message.Outbound), string(o.m.Type), now, string(author.Kind), author.Name,
		o.m.Text, content, o.m.ReplyTo, string(message.StatusQueued)})
	q.deliveries = append(q.deliveries, []any{id, l.id, conv.id, string(deliveryQueued), string(o.parts[0].Action), string(author.Kind), epoch, o.m.ReplyTo})
	q.parts = append(q.parts, parts...)
	for _, m := range o.media {
		q.media = append(q.media, [2]string{id, m})
	}
	if key := o.req.IdempotencyKey; key != "" {
		// Another replica may have taken the key for another conversation meanwhile:
		// this fails then, and the next attempt finds it.
		q.newKeys = append(q.newKeys, []any{conv.namespace, key, o.hash, id, now})
		q.keys[o.key()] = keyRow{conv.namespace, key, id, o.hash}
	}
	q.touched = append(q.touched, []any{now, conv.id})
	if author.Kind != message.AuthorSurvey && (conv.survey != "" || conv.dueAt > 0) {
		if err := q.t.surveyAnswered(&conv, author.Kind); err != nil {
			return err
		}
	}
	q.t.event(Event{Type: EventMessageCreated, Channel: conv.channel, Conversation: conv.id, Contact: conv.contact, MessageID: id})
	return q.joinQueue(l)
}

func (q *queueing) write() error {
	for _, w := range []struct {
		bulk *bulk
		rows [][]any
	}{{q.sql.newMessages, q.messages}, {q.sql.newDeliveries, q.deliveries}, {q.sql.newParts, q.parts}, {q.sql.newKeys, q.newKeys}, {q.sql.touch, q.touched}} {
		if err := q.t.bulk(w.bulk, w.rows); err != nil {
			return err
		}
	}
	for _, n := range q.media {
		if err := q.t.nameMedia(n[0], n[1]); err != nil {
			return err
		}
	}
	return q.save()
}
