package store

import (
	"context"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Ingest keeps what platforms told. What can be done without the database
// (checks, keys, encoding) is done on the caller's goroutine; the rest is one
// function in a shared transaction.
func (s *Store) Ingest(ctx context.Context, bridge string, req wire.IngestRequest) (wire.IngestResponse, error) {
	if len(req.Envelopes) == 0 {
		return wire.IngestResponse{Envelopes: []wire.EnvelopeResult{}}, nil
	}
	st := s.state.Load()
	envelopes := make([]*intake, len(req.Envelopes))
	weight := 0
	var needs *locks // with one writer they would be for nothing, and this is the hot path
	if s.db.shared {
		needs = newLocks()
	}
	for i := range req.Envelopes {
		envelopes[i] = s.prepare(routeFor(st, bridge), &req.Envelopes[i])
		st.refuseAway(envelopes[i], bridge, s.now())
		envelopes[i].vouched = st.vouched(envelopes[i].Envelope, bridge)
		weight += 1 + len(envelopes[i].elements)
		envelopes[i].needs(needs)
	}
	var resp wire.IngestResponse
	err := s.writeLocked(ctx, weight, needs, func(t *txn) error {
		results := make([]wire.EnvelopeResult, len(envelopes))
		for i, env := range envelopes {
			var err error
			if results[i], err = s.take(t, env); err != nil {
				return err
			}
		}
		resp = wire.IngestResponse{Envelopes: results}
		return nil
	})
	if err != nil {
		return wire.IngestResponse{}, err
	}
	s.metrics.ingested(resp)
	return resp, nil
}

// intake is an envelope on its way in. It does not change once the transaction
// has begun, which may be run twice.
type intake struct {
	*wire.Envelope
	channel  *Channel // of the URL or the poller; nil where there is none in force
	elements []element
	refused  bool     // the URL's channel is another Bridge's
	vouched  []string // Vouched, as far as the Bridge can tell
	// raw is the journal's entry where there is one already (a replay).
	raw string
}

// element is an event with what was found out about it without the database.
type element struct {
	channel   *Channel
	kind      string // message.Event.Kind
	direction message.Direction
	key       string // external id under which it is known
	event     message.Event
	content   string // JSON of event.Message without attachments, '' when there is none
	// verdict is set when the element goes no further than the journal.
	verdict wire.ElementResult
}

// take brings an envelope into the database: fence, journal, then each element
// for itself. The results of messages are there once the transaction has settled.
func (s *Store) take(t *txn, env *intake) (wire.EnvelopeResult, error) {
	if verdict, err := fence(t, env); err != nil || verdict != "" {
		return verdicts(env, verdict), err
	}
	if env.refused {
		return verdicts(env, wire.ResultForbidden), nil
	}
	raw, err := journal(t, env)
	if err != nil {
		return wire.EnvelopeResult{}, err
	}
	results := make([]wire.ElementResult, len(env.elements))
	for i := range env.elements {
		e := &env.elements[i]
		if results[i] = e.verdict; e.verdict.Result != "" {
			continue
		}
		a := &arrival{element: e, s: s, t: t, raw: raw, result: &results[i]}
		stages := stagesOf(e)
		if stages == nil {
			t.gather(a)
			continue
		}
		if results[i], err = a.run(stages); err != nil {
			return wire.EnvelopeResult{}, err
		}
	}
	return wire.EnvelopeResult{Elements: results}, nil
}

// verdicts answers an envelope as a whole, and every element of it alike.
func verdicts(env *intake, v wire.Result) wire.EnvelopeResult {
	results := make([]wire.ElementResult, len(env.elements))
	for i := range results {
		results[i].Result = v
	}
	return wire.EnvelopeResult{Result: v, Elements: results}
}

// fence refuses an envelope of a connection that another one has replaced, and
// commits the platform's offset with the messages otherwise.
func fence(t *txn, env *intake) (wire.Result, error) {
	if env.Fence == nil {
		return "", nil
	}
	if env.channel == nil {
		return wire.ResultForbidden, nil
	}
	held, err := t.exec(`UPDATE assignments SET cursor = CASE WHEN ? = '' THEN cursor ELSE ? END WHERE channel = ? AND token = ?`,
		env.Fence.Cursor, env.Fence.Cursor, env.channel.Name, env.Fence.Token)
	if err != nil {
		return "", err
	}
	if held == 0 {
		return wire.ResultStale, nil
	}
	return "", nil
}

// journal keeps the payload as it came and returns the entry's id. A payload
// that speaks of several namespaces belongs to none: only callers that see
// everything see it.
func journal(t *txn, env *intake) (string, error) {
	if env.raw != "" || len(env.Raw) == 0 {
		return env.raw, nil
	}
	if env.allForbidden() {
		// Nothing of it is the caller's to keep, and it comes again with every retry
		// of the platform.
		return "", nil
	}
	channel, namespace, unrouted, _ := whereabouts(env)
	trusted, err := trustOf(env).encode()
	if err != nil {
		return "", err
	}
	id := t.newID()
	if unrouted || env.someForbidden() { // it is refused, and comes again until it is not
		if kept, err := t.journaled(env, trusted, id); err != nil || kept != "" {
			return kept, err
		}
	}
	t.wrote = true
	t.raws = append(t.raws, []any{id, env.Platform, namespace, channel, env.Transport, ms(env.ReceivedAt), boolInt(unrouted), trusted, env.Raw})
	return id, nil
}

var insertRaws = bulkInsert("raw_entries", "", "id text", "platform text", "namespace text", "channel text", "transport text", "received_at bigint",
	"unrouted bigint", "trust text", "payload bytea")

// flushRaws inserts the journal's entries. Nothing in a transaction reads them,
// and no other row refers to them, so that they go in at its end.
func (t *txn) flushRaws() error {
	rows := t.raws
	t.raws = t.raws[:0]
	return t.bulk(insertRaws, rows)
}

// journaled is the entry of the same payload on the same URL, trusted by the
// same channels, that is in the journal already, as a platform sends what was
// refused again for a day; "" when there is none (any more), and id stands for
// it from now on.
func (t *txn) journaled(env *intake, trusted, id string) (string, error) {
	key := contentID([]byte(contentID(env.Raw) + trusted))
	kept, err := t.takeKey(env.Channel, "raw", key, "", id)
	if err != nil || kept == id {
		return "", err
	}
	if err := t.flushRaws(); err != nil {
		return "", err
	}
	var n int
	if _, err := one(background, t, []any{&n}, `SELECT COUNT(*) FROM raw_entries WHERE id = ?`, kept); err != nil || n > 0 {
		return kept, err
	}
	err = t.later(`UPDATE external_ids SET id = ? WHERE external_id = ? AND channel = ? AND kind = 'raw' AND direction = ''`, id, key, env.Channel)
	return "", err
}

// someForbidden says that some of an envelope's elements are another Bridge's.
func (env *intake) someForbidden() bool {
	for i := range env.elements {
		if env.elements[i].verdict.Result == wire.ResultForbidden {
			return true
		}
	}
	return false
}

// allForbidden says that an envelope has elements and all of them are another
// Bridge's.
func (env *intake) allForbidden() bool {
	for i := range env.elements {
		if env.elements[i].verdict.Result != wire.ResultForbidden {
			return false
		}
	}
	return len(env.elements) > 0
}

// whereabouts says where an envelope belongs: to a channel or a namespace where
// all its elements agree, and whether some of it went nowhere. A URL's channel
// that is not in force is named too, as only its name leads a replay to it once
// it is; whose namespace that is nobody has vouched for.
func whereabouts(env *intake) (channel, namespace string, unrouted, any bool) {
	mixedChannel, mixedNamespace := false, false
	see := func(name, ns string) {
		if any {
			mixedChannel, mixedNamespace = mixedChannel || name != channel, mixedNamespace || ns != namespace
		}
		channel, namespace, any = name, ns, true
	}
	if env.channel != nil {
		see(env.channel.Name, env.channel.Namespace)
	} else if env.Channel != "" && len(env.elements) == 0 {
		unrouted = true
		see(env.Channel, "")
	}
	for i := range env.elements {
		switch e := &env.elements[i]; {
		case e.verdict.Result == wire.ResultForbidden:
		case e.channel != nil:
			see(e.channel.Name, e.channel.Namespace)
		case env.Elements[i].Channel == env.Channel:
			unrouted = true
			see(env.Channel, "")
		default:
			unrouted = true
			see("", "")
		}
	}
	if mixedChannel {
		channel = ""
	}
	if mixedNamespace {
		namespace = ""
	}
	return channel, namespace, unrouted, any
}

// arrival is an element within the transaction: what the stages find out about
// it and hand on to each other.
type arrival struct {
	*element
	s      *Store
	t      *txn
	raw    string // entry of the journal
	result *wire.ElementResult

	id      string // of the message; for other events a number of their own
	party   *party
	before  party      // as it was when the message came
	course  course     // what the message did to the conversation
	media   []mediaRow // attachments to fetch
	waiting bool       // parked events may wait for this message

	newContact  bool         // whom it is from was not known
	answers     *dialogueRow // a survey's: it is no message to anybody
	watermarked bool         // parked watermarks may wait for them
}

// A stage does one thing with an element. It ends the way through the stages
// with a result, or hands on with none.
type stage func(*arrival) (wire.Result, error)

// The stages of each kind of event, in order. Messages share some of them with
// each other; see settle.
var (
	effectStages     = []stage{(*arrival).dedupe, (*arrival).openWindow, (*arrival).affect}
	receiptStages    = []stage{(*arrival).dedupe, (*arrival).receive}
	membershipStages = []stage{(*arrival).dedupe, (*arrival).identify, (*arrival).profile, (*arrival).reach}
	migrationStages  = []stage{(*arrival).dedupe, (*arrival).migrate}
)

// stagesOf is nil for a message.
func stagesOf(e *element) []stage {
	switch {
	case e.event.Receipt != nil:
		return receiptStages
	case e.event.Membership != nil:
		return membershipStages
	case e.event.Migration != nil:
		return migrationStages
	case isEffect(e.event.Message.Type):
		return effectStages
	}
	return nil
}

// isEffect says whether a message changes another one instead of being one.
func isEffect(t message.Type) bool {
	return t == message.TypeEdit || t == message.TypeDeletion || t == message.TypeReaction
}

func (a *arrival) run(stages []stage) (wire.ElementResult, error) {
	for _, stage := range stages {
		if result, err := stage(a); err != nil || result != "" {
			return wire.ElementResult{Result: result, ID: a.messageID()}, err
		}
	}
	return wire.ElementResult{Result: wire.ResultStored, ID: a.messageID()}, nil
}

// messageID is the id that the caller learns: only messages have one.
func (a *arrival) messageID() string {
	if a.event.Message == nil || isEffect(a.event.Message.Type) {
		return ""
	}
	return a.id
}

// dedupe takes the event under its unique key, or ends here because it was
// taken before: the constraint decides, nothing that is remembered elsewhere.
func (a *arrival) dedupe() (wire.Result, error) {
	a.id = a.t.newID()
	n, err := a.t.exec(insertKey, a.channel.Name, a.kind, a.key, string(a.direction), a.id)
	if err != nil || n == 1 {
		return "", err
	}
	a.id, err = a.t.keyOwner(a.channel.Name, a.kind, a.key, a.direction)
	return wire.ResultDuplicate, err
}

const insertKey = `INSERT INTO external_ids (channel, kind, external_id, direction, id) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

// keyOwner is the id of the event that has a unique key.
func (t *txn) keyOwner(channel, kind, key string, direction message.Direction) (id string, err error) {
	_, err = one(t.ctx, t, []any{&id}, `SELECT id FROM external_ids WHERE channel = ? AND kind = ? AND external_id = ? AND direction = ?`,
		channel, kind, key, string(direction))
	return id, err
}

// takeKey puts an event under its unique key and returns the id that is there
// now: the given one, or that of the event that was there before.
func (t *txn) takeKey(channel, kind, key string, direction message.Direction, id string) (string, error) {
	n, err := t.exec(insertKey, channel, kind, key, string(direction), id)
	if err != nil || n == 1 {
		return id, err
	}
	return t.keyOwner(channel, kind, key, direction)
}
