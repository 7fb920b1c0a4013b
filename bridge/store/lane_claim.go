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
	*ledger  // of the transaction
	s        *Store
	bridge   string
	instance string
	max      int
	paused   map[string]bool
	held     []string // channels whose locks were asked for
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
	due, needs, err := c.look(ctx)
	if err != nil {
		return nil, 0, err
	}
	if wait = due.Sub(c.s.now()); due.IsZero() || wait > 0 {
		if due.IsZero() || wait > idleWait {
			wait = idleWait
		}
		return nil, wait, nil
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

// look says when there is next something to do for this caller (zero: not before
// somebody rings), and takes down the locks of the channels that are due and can
// be served. Those that become due meanwhile are for the next claim.
func (c *claim) look(ctx context.Context) (next time.Time, needs *locks, err error) {
	var due int64
	if _, err := one(ctx, c.s.read, []any{&due}, `SELECT lease_until FROM lanes WHERE lease_until > 0 ORDER BY lease_until LIMIT 1`); err != nil {
		return time.Time{}, nil, err
	}
	within, cancel := c.s.read.bounded(ctx)
	defer cancel()
	rows, err := c.s.read.rows(within, `SELECT channel, due_at FROM outbox_channels WHERE bridge = ? AND due_at > 0 ORDER BY due_at, rounds`, c.bridge)
	if err != nil {
		return time.Time{}, nil, late(ctx, err)
	}
	defer rows.Close()
	needs, c.held = newLocks(), nil
	for now := ms(c.s.now()); rows.Next() && len(needs.others) < min(c.max, maxLocks/4); {
		var channel string
		var at int64
		if err := rows.Scan(&channel, &at); err != nil {
			return time.Time{}, nil, err
		}
		if c.paused[channel] {
			continue
		}
		if due == 0 || at < due {
			due = at
		}
		if at > now {
			break
		}
		needs.outbox(channel)
		c.held = append(c.held, channel)
	}
	if err := rows.Err(); err != nil {
		return time.Time{}, nil, late(ctx, c.s.read.fail(err))
	}
	return fromMS(due), needs, nil
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
	caps   platform.Capabilities
	rate   float64
	row    *channelRow
	bucket bucket
	// may is how many of its lanes can be claimed now, share how many are asked for.
	may, share int
	lanes      []*laneRow // due, in order; one more than the share where there is one
}

// run claims within a transaction: the channels that waited longest, an equal
// share from each.
func (c *claim) run(t *txn) ([]wire.Delivery, error) {
	c.ledger = c.s.newLedger(t)
	channels, err := c.dueChannels()
	if err != nil || len(channels) == 0 {
		return nil, errors.Join(err, c.save())
	}
	if err := c.claimLanes(channels); err != nil {
		return nil, err
	}
	found, err := c.deliveriesOf(channels)
	if err != nil {
		return nil, err
	}
	return found, c.save()
}

const (
	// lagWait is how long a channel waits whose row lags behind the document: it
	// is written a moment after the document came into force.
	lagWait = time.Second
	// strangeWait is how long a channel waits whose platform this version of the
	// store does not know: another version will have to come first.
	strangeWait = time.Minute
)

// dueChannels are the channels to serve, longest waiting first. Those that are
// due and cannot be served are put off, as every long poll would go on trying.
func (c *claim) dueChannels() (list []*servedChannel, err error) {
	var expired []laneRow
	var due []*channelRow
	look := []question{
		{c.s.outbox.sql.expiredLeases, []any{ms(c.t.now), expireBatch}, func(scan func(...any) error) error {
			var l laneRow
			err := scan(l.fields()...)
			expired = append(expired, l)
			return err
		}},
		{c.s.outbox.sql.dueChannels, []any{c.bridge, ms(c.t.now), c.max + len(c.paused)}, func(scan func(...any) error) error {
			row := &channelRow{kept: true}
			due = append(due, row)
			return scan(row.fields()...)
		}},
	}
	if c.s.db.shared { // only those whose locks are held can be served
		look[1].query, look[1].args[2] = c.s.outbox.sql.heldChannels, c.t.c.db.list(c.held)
	}
	if err := c.t.ask(look...); err != nil {
		return nil, err
	}
	if len(expired) > 0 { // their channels have become due
		if err := c.s.expireLanes(c.t, expired); err != nil {
			return nil, err
		}
		due = nil
		if c.s.db.shared {
			held := c.held
			for i := range expired {
				held = append(held, expired[i].channel)
			}
			look[1].args[2] = c.t.c.db.list(held)
		}
		if err := c.t.ask(look[1]); err != nil {
			return nil, err
		}
	}
	for _, row := range due {
		if c.paused[row.name] || !c.t.holds(spaceOutbox, row.name) || len(list) == c.max {
			continue
		}
		c.channels[row.name] = row
		ch, putOff := c.served(row)
		if ch == nil {
			row.dueAt, row.dirty = ms(c.t.now.Add(putOff)), true
			continue
		}
		list = append(list, ch)
	}
	return list, nil
}

// served is a channel that is due, unless it cannot be served for a while.
func (c *claim) served(row *channelRow) (*servedChannel, time.Duration) {
	st := c.s.state.Load()
	if sendingBridge(st, row.name) != c.bridge { // the document rules
		return nil, lagWait
	}
	ch := &servedChannel{Channel: st.channel(row.name), row: row}
	var known bool
	if ch.caps, known = c.s.capabilities(ch.Channel); !known {
		return nil, strangeWait // queued by another version of the store
	}
	ch.rate = sendRate(ch.Channel, ch.caps)
	ch.bucket = bucket{row.tokens, fromMS(row.refilledAt)}.refill(c.t.now, ch.rate)
	ch.may = c.max
	if ch.rate > 0 {
		ch.may = min(ch.may, int(ch.bucket.tokens+tokenSlack))
	}
	if row.readyAt > ms(c.t.now) {
		ch.may = 0
	}
	if row.failures > 0 && ch.may > 0 { // one tries for all whether the platform takes the channel again
		ch.may, row.readyAt = 1, ms(c.t.now.Add(probeWait))
	}
	ch.may = max(ch.may, 0)
	return ch, 0
}

// probeWait is how long the rest of a refused channel waits for the one delivery
// that tries: a send takes a second or two, and should that one be lost, the
// next tries after this.
const probeWait = 10 * time.Second

// tokenSlack absorbs the rounding of a token that is 0.9999… after exactly its time.
const tokenSlack = 1e-6

// claimLanes finds the lanes to claim: equal shares, and what one channel does
// not use is for the others.
func (c *claim) claimLanes(channels []*servedChannel) error {
	left := c.max
	for i, ch := range channels {
		n := len(channels) - i
		ch.share = min(ch.may, (left+n-1)/n)
		left -= ch.share
	}
	for ask := channels; len(ask) > 0; {
		if err := c.askLanes(ask); err != nil {
			return err
		}
		left = c.max
		ask = nil
		for _, ch := range channels {
			left -= min(ch.share, len(ch.due(c.t)))
			if ch.share < ch.may && len(ch.due(c.t)) > ch.share {
				ask = append(ask, ch)
			}
		}
		for i, ch := range ask {
			n := len(ask) - i
			more := min(ch.may-ch.share, (left+n-1)/n)
			ch.share += more
			left -= more
		}
		ask = slices.DeleteFunc(ask, func(ch *servedChannel) bool { return len(ch.lanes) > ch.share })
	}
	return nil
}

// due are the lanes that can be claimed, and perhaps one more.
func (ch *servedChannel) due(t *txn) []*laneRow {
	n := slices.IndexFunc(ch.lanes, func(l *laneRow) bool { return l.dueAt > ms(t.now) })
	if n < 0 {
		return ch.lanes
	}
	return ch.lanes[:n]
}

// askLanes reads the lanes of channels that are due first, and one more, which
// says when a channel is due again. PostgreSQL is asked once for all: a statement
// for each channel costs it more than the lanes, as it is planned anew each time
// (for so few rows the planner takes no plan that was made before).
func (c *claim) askLanes(channels []*servedChannel) error {
	questions := make([]question, len(channels))
	names, most, byName := make([]string, len(channels)), make([]int64, len(channels)), make(map[string]*servedChannel, len(channels))
	take := func(scan func(...any) error) error {
		l := &laneRow{}
		err := scan(l.fields()...)
		if ch := byName[l.channel]; ch != nil {
			ch.lanes = append(ch.lanes, c.lane(l))
		}
		return err
	}
	for i, ch := range channels {
		ch.lanes = nil
		names[i], most[i], byName[ch.Name] = ch.Name, int64(ch.share+1), ch
		questions[i] = question{c.s.outbox.sql.dueLanes, []any{ch.Name, most[i]}, take}
	}
	if c.s.db.postgres != nil {
		questions = []question{{c.s.outbox.sql.dueLanesOfAll, []any{names, most}, take}}
	}
	return c.t.ask(questions...)
}

// deliveriesOf hands out what the claimed lanes have to send, and puts the
// channels at the end of the round.
func (c *claim) deliveriesOf(channels []*servedChannel) ([]wire.Delivery, error) {
	var claimed []*claimedLane
	for _, ch := range channels {
		lanes := ch.due(c.t)
		lanes = lanes[:min(len(lanes), ch.share)]
		ch.reschedule(c.t.now, ch.lanes[len(lanes):])
		slices.SortFunc(lanes, func(a, b *laneRow) int { return cmp.Compare(a.id, b.id) })
		for _, l := range lanes {
			claimed = append(claimed, &claimedLane{ch: ch, l: l})
		}
	}
	if err := c.nextDeliveries(claimed); err != nil {
		return nil, err
	}
	var found []wire.Delivery
	for _, x := range claimed {
		if x.h == nil { // nothing is left
			x.l.dueAt, x.l.releases, x.l.dirty = 0, 0, true
			continue
		}
		x.ch.bucket.tokens -= float64(len(x.parts))
		out, err := c.handOut(x)
		if err != nil {
			return nil, err
		}
		found = append(found, out)
	}
	for _, ch := range channels {
		ch.putBack(c.t.now)
	}
	return found, nil
}

// reschedule says when the channel has a lane again, after the claimed ones.
func (ch *servedChannel) reschedule(now time.Time, rest []*laneRow) {
	ch.row.dueAt = 0
	if len(rest) > 0 {
		ch.row.dueAt = max(rest[0].dueAt, ms(now))
	}
}

// putBack writes the channel's bucket, and when it wants to be served next.
func (ch *servedChannel) putBack(now time.Time) {
	row := ch.row
	if ch.rate > 0 && ch.bucket.tokens+tokenSlack < 1 {
		row.readyAt = max(row.readyAt, ms(now)+ceilMS(ch.bucket.readyIn(ch.rate)))
	}
	if row.dueAt > 0 {
		row.dueAt = max(row.dueAt, row.readyAt)
	}
	row.rounds++
	row.tokens, row.refilledAt, row.dirty = ch.bucket.tokens, ms(ch.bucket.refilled), true
}

// head is a lane's first delivery with what is checked before it goes out.
type head struct {
	*delivery
	convEpoch int64
	contact   string
	address   string
	reachable bool
	acts      acts
	stale     bool // of a survey: a person writes, or the question is out of place
}

// claimedLane is a lane with what it has to send.
type claimedLane struct {
	ch    *servedChannel
	l     *laneRow
	h     *head
	parts []wire.Part
}

// nextDeliveries finds what claimed lanes have to send; what may not be sent any
// more is settled on the way.
func (c *claim) nextDeliveries(claimed []*claimedLane) error {
	for left := claimed; len(left) > 0; {
		heads, err := c.heads(left)
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(slices.Clone(left), func(x *claimedLane) bool {
			x.h = heads[x.l.id]
			if x.h == nil {
				return true
			}
			x.parts = x.h.remaining()
			return len(x.parts) > 0 && !x.h.refuse(x.ch, c.t.now)
		})
		if len(left) == 0 {
			return nil
		}
		if err := c.settle(); err != nil {
			return err
		}
	}
	return nil
}

// heads reads the first delivery of each lane.
func (c *claim) heads(lanes []*claimedLane) (map[int64]*head, error) {
	ids := make([]int64, len(lanes))
	for i, x := range lanes {
		ids[i] = x.l.id
	}
	heads, byMessage := map[int64]*head{}, map[string]*head{}
	list := []any{c.t.c.db.list(ids)}
	err := c.t.ask(question{c.s.outbox.sql.heads, list, func(scan func(...any) error) error {
		h := &head{delivery: &delivery{}}
		var reachable, stale int64
		var did actsRow
		if err := scan(append(append(h.fields(), &h.convEpoch, &h.contact, &h.address, &reachable, &stale), did.fields()...)...); err != nil {
			return err
		}
		h.reachable, h.stale, h.acts, h.lane = reachable == 1, stale == 1, did.acts(), c.lanes[h.laneID]
		heads[h.laneID], byMessage[h.message] = h, h
		c.deliveries[h.message] = h.delivery
		return nil
	}}, question{c.s.outbox.sql.headParts, list, func(scan func(...any) error) error {
		var id string
		var p partRow
		if err := scan(&id, &p.index, &p.state, &p.lease, &p.unknowns, &p.payload); err != nil {
			return err
		}
		if h := byMessage[id]; h != nil {
			h.parts = append(h.parts, p)
		}
		return nil
	}})
	return heads, err
}

// refuse settles a delivery that may not be sent any more, and says so. People's
// messages stand whoever owns the conversation now; automated ones of a former
// owner are superseded.
func (h *head) refuse(ch *servedChannel, now time.Time) bool {
	switch {
	case automated(h.authorKind) && h.epoch != h.convEpoch:
		h.withdraw(deliverySuperseded, fmt.Sprintf("the conversation has another owner since (epoch %d, now %d)", h.epoch, h.convEpoch))
	case h.stale:
		h.withdraw(deliverySuperseded, reasonSurveyStale)
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
func (c *claim) handOut(x *claimedLane) (wire.Delivery, error) {
	h, l, now := x.h, x.l, ms(c.t.now)
	if l.leaseBridge != "" && l.leaseBridge != c.bridge { // the channel moved: what the former one still tells is recorded
		if err := c.t.later(`UPDATE lanes SET former_bridge = ?, former_lease = ? WHERE id = ?`, l.leaseBridge, l.lease, l.id); err != nil {
			return wire.Delivery{}, err
		}
	}
	h.attempts++
	h.begin(now, now-l.dueAt)
	if x.ch.caps.LaneRate > 0 {
		l.readyAt = now + ceilMS(time.Duration(float64(len(x.parts))/x.ch.caps.LaneRate*float64(time.Second)))
	}
	l.lease++
	l.dueAt, l.leaseBridge, l.leaseInstance, l.leaseDelivery, l.leaseUntil, l.dirty = 0, c.bridge, c.instance, h.message, now+leaseFor.Milliseconds(), true
	out := wire.Delivery{ID: h.message, Channel: x.ch.Name, To: h.address, Extended: h.window(x.ch, c.t.now) == windowExtended, Lease: l.lease, Expires: leaseFor, Attempt: h.attempts, Parts: x.parts}
	if x.parts[0].Index == 0 {
		out.ReplyTo = h.replyTo
	}
	return out, nil
}
