package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Lease hands out what is to be sent: at most one delivery of each lane, of
// the calling Bridge's channels, in turns between the channels. With nothing
// due it waits, at most for req.Wait.
func (s *Store) Lease(ctx context.Context, bridge string, req wire.LeaseRequest) (wire.LeaseResponse, error) {
	c := claim{s: s, bridge: bridge, instance: req.Instance, max: min(max(req.Max, 1), leaseMax), paused: map[string]bool{}}
	for _, p := range req.Paused {
		c.paused[p] = true
	}
	timeout := time.NewTimer(min(max(req.Wait, 0), leaseWaitMax))
	defer timeout.Stop()
	w := s.outbox.bells.join(bridge)
	defer s.outbox.bells.leave(bridge, w)
	for {
		found, wait, err := c.try(ctx)
		if err != nil || len(found) > 0 {
			return wire.LeaseResponse{Deliveries: found}, err
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-timeout.C:
			err = errWaited
		case <-w.rung:
		case <-again.C:
		}
		again.Stop()
		if errors.Is(err, errWaited) {
			return wire.LeaseResponse{}, nil
		}
		if err != nil {
			return wire.LeaseResponse{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// errWaited ends a long poll that found nothing.
var errWaited = errors.New("nothing to do")

// claim is one call of Lease.
type claim struct {
	s        *Store
	bridge   string
	instance string
	max      int
	paused   map[string]bool
}

const (
	// idleWait is how long a long poll sleeps when nothing is due: a ring wakes
	// it, so this only bounds what a set clock can do.
	idleWait = time.Minute
	// emptyWait keeps a call from spinning when what was due went to another.
	emptyWait = 10 * time.Millisecond
)

// try looks without writing, and claims when something is due; else it says
// how long nothing will be.
func (c *claim) try(ctx context.Context) (found []wire.Delivery, wait time.Duration, err error) {
	if err := c.s.followClock(ctx); err != nil {
		return nil, 0, err
	}
	due, err := c.nextDue(ctx)
	if err != nil {
		return nil, 0, err
	}
	if wait = due.Sub(c.s.now()); due.IsZero() || wait > 0 {
		if due.IsZero() || wait > idleWait {
			wait = idleWait
		}
		return nil, wait, nil
	}
	needs, err := c.needs(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := c.s.writeLocked(ctx, c.max, needs, func(t *txn) error {
		found, err = c.run(t)
		return err
	}); err != nil {
		return nil, 0, err
	}
	c.s.outbox.metrics.leased.Add(float64(len(found)))
	if ctx.Err() != nil && len(found) > 0 {
		// The caller has gone and will not get these: others need not wait until
		// the lease is over.
		c.giveBack(found)
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	return found, emptyWait, nil
}

// nextDue is when there is next something to do for this caller; zero: not
// before somebody rings.
func (c *claim) nextDue(ctx context.Context) (time.Time, error) {
	var due int64
	if _, err := one(ctx, c.s.read, []any{&due}, `SELECT lease_until FROM lanes WHERE lease_until > 0 ORDER BY lease_until LIMIT 1`); err != nil {
		return time.Time{}, err
	}
	rows, err := c.s.read.rows(ctx, `SELECT channel, due_at FROM outbox_channels WHERE bridge = ? AND due_at > 0 ORDER BY due_at, rounds`, c.bridge)
	if err != nil {
		return time.Time{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var channel string
		var at int64
		if err := rows.Scan(&channel, &at); err != nil {
			return time.Time{}, err
		}
		if c.paused[channel] {
			continue
		}
		if due == 0 || at < due {
			due = at
		}
		break
	}
	return fromMS(due), rows.Err()
}

// needs are the locks of the channels that are due and can be served. Those
// that become due meanwhile are for the next claim.
func (c *claim) needs(ctx context.Context) (*locks, error) {
	l := newLocks()
	if !c.s.db.shared {
		return l, nil
	}
	due, err := all(ctx, c.s.read, scanText, `SELECT channel FROM outbox_channels WHERE bridge = ? AND due_at > 0 AND due_at <= ? ORDER BY due_at, rounds`,
		c.bridge, ms(c.s.now()))
	for _, channel := range due {
		if !c.paused[channel] && len(l.others) < min(c.max, maxLocks/4) {
			l.outbox(channel)
		}
	}
	return l, err
}

func (c *claim) giveBack(found []wire.Delivery) {
	var req wire.ReportRequest
	for _, d := range found {
		req.Reports = append(req.Reports, wire.PartReport{Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: d.Parts[0].Index, Outcome: wire.OutcomeReleased})
	}
	if _, err := c.s.Report(background, c.bridge, req); err != nil {
		c.s.log.Warn("leases of a caller that has gone were not given back; they end by themselves", "err", err, "bridge", c.bridge)
	}
}

// servedChannel is a channel whose turn it is.
type servedChannel struct {
	*Channel
	caps     platform.Capabilities
	rate     float64
	readyAt  int64
	failures int
	bucket   bucket
}

// run claims within a transaction: the channels that waited longest, an equal
// share from each.
func (c *claim) run(t *txn) ([]wire.Delivery, error) {
	if err := c.s.expire(t); err != nil {
		return nil, err
	}
	channels, err := c.dueChannels(t)
	if err != nil || len(channels) == 0 {
		return nil, err
	}
	var found []wire.Delivery
	for i := range channels {
		left := len(channels) - i // what one does not use is for those after it
		share := (c.max - len(found) + left - 1) / left
		ds, err := c.serve(t, &channels[i], share)
		if err != nil {
			return nil, err
		}
		found = append(found, ds...)
	}
	return found, nil
}

// dueChannels are the channels to serve, longest waiting first. Those that are
// due and cannot be served are put off, as every long poll would go on trying.
func (c *claim) dueChannels(t *txn) ([]servedChannel, error) {
	list, putOff, err := c.lookAtDue(t)
	if err != nil {
		return nil, err
	}
	for channel, wait := range putOff {
		if _, err := t.exec(`UPDATE outbox_channels SET due_at = ? WHERE channel = ?`, ms(t.now.Add(wait)), channel); err != nil {
			return nil, err
		}
	}
	return list, nil
}

const (
	// lagWait is how long a channel waits whose row lags behind the document: it
	// is written a moment after the document came into force.
	lagWait = time.Second
	// strangeWait is how long a channel waits whose platform this version of the
	// store does not know: another version will have to come first.
	strangeWait = time.Minute
)

func (c *claim) lookAtDue(t *txn) (list []servedChannel, putOff map[string]time.Duration, err error) {
	st := c.s.state.Load()
	rows, err := t.query(`SELECT channel, ready_at, failures, tokens, refilled_at FROM outbox_channels
		WHERE bridge = ? AND due_at > 0 AND due_at <= ? ORDER BY due_at, rounds`, c.bridge, ms(t.now))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	putOff = map[string]time.Duration{}
	for len(list) < c.max && rows.Next() {
		var name string
		var refilled int64
		var ch servedChannel
		if err := rows.Scan(&name, &ch.readyAt, &ch.failures, &ch.bucket.tokens, &refilled); err != nil {
			return nil, nil, err
		}
		if c.paused[name] || !t.holds(spaceOutbox, name) {
			continue
		}
		if sendingBridge(st, name) != c.bridge { // the document rules
			putOff[name] = lagWait
			continue
		}
		ch.Channel = st.channel(name)
		var known bool
		if ch.caps, known = c.s.capabilities(ch.Channel); !known {
			putOff[name] = strangeWait // queued by another version of the store
			continue
		}
		ch.rate = sendRate(ch.Channel, ch.caps)
		ch.bucket.refilled = fromMS(refilled)
		list = append(list, ch)
	}
	return list, putOff, rows.Err()
}

// serve claims up to n lanes of a channel, as its rate allows, and puts the
// channel at the end of the round.
func (c *claim) serve(t *txn, ch *servedChannel, n int) ([]wire.Delivery, error) {
	ch.bucket = ch.bucket.refill(t.now, ch.rate)
	if ch.rate > 0 {
		n = min(n, int(ch.bucket.tokens+tokenSlack))
	}
	if ch.readyAt > ms(t.now) {
		n = 0
	}
	if ch.failures > 0 && n > 0 { // one tries for all whether the platform takes the channel again
		n, ch.readyAt = 1, ms(t.now.Add(probeWait))
	}
	var found []wire.Delivery
	if n > 0 {
		lanes, err := all(background, t, scanLane, c.s.outbox.sql.claimLanes, c.bridge, c.instance, ms(t.now.Add(leaseFor)), ch.Name, ms(t.now), n)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(lanes, func(a, b laneRow) int { return cmp.Compare(a.id, b.id) }) // RETURNING has no order
		for i := range lanes {
			d, err := c.s.nextDelivery(t, ch, &lanes[i])
			if err != nil {
				return nil, err
			}
			if d != nil {
				ch.bucket.tokens -= float64(len(d.Parts))
				found = append(found, *d)
			}
		}
	}
	return found, c.reschedule(t, ch)
}

// probeWait is how long the rest of a refused channel waits for the one delivery
// that tries: a send takes a second or two, and should that one be lost, the
// next tries after this.
const probeWait = 10 * time.Second

// tokenSlack absorbs the rounding of a token that is 0.9999… after exactly its time.
const tokenSlack = 1e-6

// reschedule writes the channel's bucket and when it wants to be served next.
func (c *claim) reschedule(t *txn, ch *servedChannel) error {
	now := ms(t.now)
	if ch.rate > 0 && ch.bucket.tokens+tokenSlack < 1 {
		ch.readyAt = max(ch.readyAt, now+ceilMS(ch.bucket.readyIn(ch.rate)))
	}
	var due int64
	if _, err := one(background, t, []any{&due}, `SELECT due_at FROM lanes WHERE channel = ? AND due_at > 0 ORDER BY due_at LIMIT 1`, ch.Name); err != nil {
		return err
	}
	if due > 0 {
		due = max(due, ch.readyAt, now)
	}
	_, err := t.exec(`UPDATE outbox_channels SET due_at = ?, rounds = rounds + 1, ready_at = ?, tokens = ?, refilled_at = ? WHERE channel = ?`,
		due, ch.readyAt, ch.bucket.tokens, ms(ch.bucket.refilled), ch.Name)
	return err
}

// head is a lane's first delivery with what is checked before it goes out.
type head struct {
	delivery
	convEpoch   int64
	contact     string
	address     string
	reachable   bool
	lastInbound time.Time
}

// nextDelivery is what a claimed lane has to send; nil when nothing is left.
// What may not be sent any more is settled on the way.
func (s *Store) nextDelivery(t *txn, ch *servedChannel, l *laneRow) (*wire.Delivery, error) {
	for {
		h, err := loadHead(t, ch, l)
		if err != nil {
			return nil, err
		}
		if h == nil {
			return nil, s.endTurn(t, l, 0, false)
		}
		parts := h.remaining()
		if len(parts) > 0 && !h.refuse(ch, t.now) {
			return s.handOut(t, ch, l, h, parts)
		}
		if err := h.save(t); err != nil {
			return nil, err
		}
		if err := s.refreshMessage(t, &h.delivery, l); err != nil {
			return nil, err
		}
	}
}

func loadHead(t *txn, ch *servedChannel, l *laneRow) (*head, error) {
	h := &head{}
	var reachable, last int64
	found, err := one(background, t, append(h.fields(), &h.convEpoch, &h.contact, &h.address, &reachable, &last),
		`SELECT `+deliveryColumns+`, v.epoch, v.contact, i.external_id, i.reachable, v.last_inbound_at
		FROM deliveries d JOIN conversations v ON v.id = d.conversation JOIN identities i ON i.id = v.identity
		WHERE d.lane = ? AND d.state = 'queued' ORDER BY d.message LIMIT 1`, l.id)
	if err != nil || !found {
		return nil, err
	}
	h.reachable, h.lastInbound = reachable == 1, fromMS(last)
	if ch.caps.Window > 0 {
		if h.lastInbound, err = lastInbound(background, t, ch.Name, h.contact); err != nil {
			return nil, err
		}
	}
	return h, h.loadParts(t)
}

// lastInbound is when a contact last wrote on a channel, in whichever
// conversation: a platform's messaging window begins there.
func lastInbound(ctx context.Context, q querier, channel, contact string) (time.Time, error) {
	var last int64
	_, err := one(ctx, q, []any{&last}, `SELECT COALESCE(MAX(last_inbound_at), 0) FROM conversations WHERE contact = ? AND channel = ?`, contact, channel)
	return fromMS(last), err
}

// refuse settles a delivery that may not be sent any more, and says so. People's
// messages stand whoever owns the conversation now; automated ones of a former
// owner are superseded.
func (h *head) refuse(ch *servedChannel, now time.Time) bool {
	switch {
	case automated(h.authorKind) && h.epoch != h.convEpoch:
		h.withdraw(deliverySuperseded, fmt.Sprintf("the conversation has another owner since (epoch %d, now %d)", h.epoch, h.convEpoch))
	case !h.reachable:
		h.fail(string(wire.ErrRecipientGone) + ": the contact blocked this account or left")
	case h.window(ch, now) == windowClosed:
		h.refuseWindow(ch)
	default:
		return h.refuseContent(ch.caps)
	}
	return true
}

// refuseContent settles what could be sent when it was queued and cannot be by
// now, as this version of the platform's code is another.
func (h *head) refuseContent(caps platform.Capabilities) bool {
	for i := range h.parts {
		p, err := h.parts[i].content()
		if h.parts[i].state != partQueued || err != nil || canSend(caps, p) {
			continue
		}
		h.fail(fmt.Sprintf("part %d cannot be sent on this platform any more", i))
		return true
	}
	return false
}

func canSend(caps platform.Capabilities, p wire.Part) bool {
	switch {
	case p.Action == message.TypeEdit:
		return caps.Edit
	case p.Action == message.TypeDeletion:
		return caps.Delete
	case p.Action == message.TypeReaction:
		return caps.React
	case p.Attachment != nil:
		return slices.Contains(caps.Attachments, p.Attachment.Kind)
	case p.Location != nil:
		return caps.Location
	case p.Template != nil:
		return len(p.Template.Cards) <= caps.Cards
	}
	return true
}

// automated says whose messages are fenced by the conversation's epoch.
func automated(k message.AuthorKind) bool {
	return k == message.AuthorBot || k == message.AuthorSystem
}

// remaining are the parts that are still to be sent. When there are none to be
// had, it settles the delivery, so that it does not block its lane: content that
// cannot be read (written by a newer version, before a rollback), or a part that
// is being sent though nobody holds the lane.
func (h *head) remaining() []wire.Part {
	var parts []wire.Part
	for i := range h.parts {
		p := &h.parts[i]
		if p.state == partSending {
			p.set(partUnknown)
		}
		if p.state != partQueued {
			continue
		}
		content, err := p.content()
		if err != nil {
			h.fail("the queued content cannot be read by this version: " + err.Error())
			return nil
		}
		parts = append(parts, content)
	}
	h.settle()
	if h.state != deliveryQueued {
		return nil
	}
	return parts
}

// handOut begins an attempt of a delivery.
func (s *Store) handOut(t *txn, ch *servedChannel, l *laneRow, h *head, parts []wire.Part) (*wire.Delivery, error) {
	h.attempts++
	if h.firstAttempt == 0 {
		h.firstAttempt = ms(t.now)
	}
	h.dirty = true
	if err := h.save(t); err != nil {
		return nil, err
	}
	if ch.caps.LaneRate > 0 {
		l.readyAt = ms(t.now) + ceilMS(time.Duration(float64(len(parts))/ch.caps.LaneRate*float64(time.Second)))
	}
	if _, err := t.exec(`UPDATE lanes SET lease_delivery = ?, ready_at = ? WHERE id = ?`, h.message, l.readyAt, l.id); err != nil {
		return nil, err
	}
	out := &wire.Delivery{ID: h.message, Channel: ch.Name, To: h.address, Extended: h.window(ch, t.now) == windowExtended, Lease: l.lease, Expires: leaseFor, Attempt: h.attempts, Parts: parts}
	if parts[0].Index == 0 {
		out.ReplyTo = h.replyTo
	}
	return out, nil
}
