package store

import (
	"context"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Report records what became of leased parts. A report whose lease is over
// moves no lane and is not accepted, but what it knows for certain is kept:
// that a part was sent, under which ids; and of a part whose outcome was
// unknown since then, what the outcome was.
//
// A bridge reports a part as sending before it sends it, and sends it only if
// that was accepted: it is not when the part was sent by somebody else, nor when a
// bot wrote it that lost the conversation since.
func (s *Store) Report(ctx context.Context, bridge string, req wire.ReportRequest) (wire.ReportResponse, error) {
	groups := groupReports(req.Reports)
	var accepted []bool
	needs := newLocks()
	for _, r := range req.Reports {
		if needs.outbox(r.Channel); r.NewAddress != "" {
			needs.inbox(r.Channel)
		}
	}
	err := s.writeLocked(ctx, len(req.Reports), needs, func(t *txn) error {
		accepted = make([]bool, len(req.Reports))
		b, err := s.loadReports(t, bridge, req.Reports, groups)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err := b.report(bridge, req.Reports, g, accepted); err != nil {
				return err
			}
		}
		return b.save()
	})
	if err != nil {
		return wire.ReportResponse{}, err
	}
	for i, r := range req.Reports {
		s.outbox.metrics.report(r.Outcome, accepted[i])
	}
	return wire.ReportResponse{Accepted: accepted}, nil
}

// groupReports puts together what is about the same turn of a lane, by index:
// the turn ends after all of it, whichever part ended it.
func groupReports(reports []wire.PartReport) [][]int {
	type key struct {
		delivery string
		lease    int64
	}
	at := make(map[key]int, len(reports))
	var groups [][]int
	for i, r := range reports {
		k := key{r.Delivery, r.Lease}
		g, ok := at[k]
		if !ok {
			g = len(groups)
			at[k], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// loadReports reads everything that reports are about, and ends the leases
// among it that are over.
func (s *Store) loadReports(t *txn, bridge string, reports []wire.PartReport, groups [][]int) (*ledger, error) {
	var messages, channels []string
	for _, g := range groups {
		messages = append(messages, reports[g[0]].Delivery)
	}
	var ids []address
	for _, r := range reports {
		channels = append(channels, r.Channel)
		for _, id := range r.ExternalIDs {
			ids = append(ids, address{r.Channel, id})
		}
	}
	slices.Sort(messages)
	messages = slices.Compact(messages)
	slices.Sort(channels)
	channels = slices.Compact(channels)
	for {
		b := s.newLedger(t)
		if err := b.loadWith(messages, channels, b.lookUp(ids)...); err != nil {
			return nil, err
		}
		again, err := b.holdMisnamed(bridge)
		if err != nil {
			return nil, err
		}
		if !again {
			return b, b.expireOver(bridge)
		}
	}
}

// holdMisnamed takes the locks of channels that reports named wrongly, or not at
// all; what was read without them is read again.
func (b *ledger) holdMisnamed(bridge string) (again bool, err error) {
	for _, d := range b.inOrder() {
		channel := d.lane.channel
		if b.t.holds(spaceOutbox, channel) || !b.mayReport(bridge, d.lane) {
			continue
		}
		again = true
		if err := b.t.hold(spaceOutbox, channel); err != nil {
			return false, err
		}
	}
	return again, nil
}

// mayReport says whether a Bridge has anything to say about a lane.
func (b *ledger) mayReport(bridge string, l *laneRow) bool {
	return b.s.channelOrStub(l.channel).Bridge == bridge || l.leaseBridge == bridge
}

// formerly says whether a Bridge had a lease of a lane before the channel moved
// to another one, which has leased the lane since. What it sent, it sent.
func (b *ledger) formerly(bridge string, l *laneRow, lease int64) (bool, error) {
	if !b.t.holds(spaceOutbox, l.channel) { // named wrongly: it is nobody's business
		return false, nil
	}
	var n int
	_, err := one(background, b.t, []any{&n}, `SELECT COUNT(*) FROM lanes WHERE id = ? AND former_bridge = ? AND former_lease >= ?`, l.id, bridge, lease)
	return n > 0, err
}

// expireOver ends the leases that are over before anything is said about them.
func (b *ledger) expireOver(bridge string) error {
	var over []*laneRow
	for _, d := range b.inOrder() {
		l := d.lane
		if l.leaseUntil > 0 && l.leaseUntil <= ms(b.t.now) && b.mayReport(bridge, l) && !slices.Contains(over, l) {
			over = append(over, l)
		}
	}
	if len(over) == 0 {
		return nil
	}
	return b.expire(over)
}

// lookUp asks who has external ids, and what waits for them.
func (b *ledger) lookUp(ids []address) []question {
	var pairs [][2]string
	for _, id := range ids {
		if id.externalID != "" && b.ids[id] == nil {
			b.ids[id] = &externalID{}
			pairs = append(pairs, [2]string{id.channel, id.externalID})
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	args := b.t.c.db.pairList(pairs)
	return []question{
		{b.sql().owners, args, func(scan func(...any) error) error {
			var id address
			var owner string
			err := scan(&id.channel, &id.externalID, &owner)
			b.ids[id].owner = owner
			return err
		}},
		{b.sql().parked, args, func(scan func(...any) error) error {
			var id address
			err := scan(&id.channel, &id.externalID)
			b.ids[id].parked = true
			return err
		}},
	}
}

// turn is one group of reports on its way.
type turn struct {
	*ledger
	ch *Channel
	d  *delivery
	l  *laneRow

	over  bool          // the turn ends with these reports
	hold  time.Duration // the holder asks for a lease of this length
	tried bool          // something was sent in it, or tried to
	delay time.Duration
	was   deliveryState
}

func (b *ledger) report(bridge string, reports []wire.PartReport, group []int, accepted []bool) (err error) {
	first := reports[group[0]]
	d := b.deliveries[first.Delivery]
	if d == nil {
		return nil
	}
	former := false
	if !b.mayReport(bridge, d.lane) {
		if former, err = b.formerly(bridge, d.lane, first.Lease); err != nil || !former {
			return err
		}
	}
	u := &turn{ledger: b, ch: b.s.channelOrStub(d.lane.channel), d: d, l: d.lane, was: d.state}
	held := u.l.heldBy(first.Lease, d.message, b.t.now)
	for _, i := range group {
		r := reports[i]
		if r.Part < 0 || r.Part >= len(d.parts) || former && r.Outcome != wire.OutcomeSent {
			continue
		}
		if held {
			accepted[i], err = u.held(r, &d.parts[r.Part])
		} else {
			err = u.late(r, &d.parts[r.Part])
		}
		if err != nil {
			return err
		}
	}
	return u.finish(held)
}

// channelOrStub is a channel in force, or what is left of one in the database.
func (s *Store) channelOrStub(name string) *Channel {
	if ch := s.state.Load().channel(name); ch != nil {
		return ch
	}
	return &Channel{Name: name, Namespace: namespaceOf(name)}
}

// held handles a report under a lease that is in force.
func (u *turn) held(r wire.PartReport, p *partRow) (accepted bool, err error) {
	switch {
	case r.Outcome == wire.OutcomeSent:
		return true, u.sent(r, p)
	case p.state != partQueued && p.state != partSending:
		// Settled by a late report or the platform's proof: it must not be sent
		// again. The holder, told so, gives the rest of its turn up, as it does after
		// any outcome but sent: the next part need not wait until the lease is over.
		u.over = true
		u.delay = max(u.delay, clampRetryAfter(r.RetryAfter))
		return r.Outcome != wire.OutcomeSending, nil
	case r.Outcome == wire.OutcomeSending:
		if refused, err := u.refuseSending(p); err != nil || refused {
			u.over = true
			return false, err
		}
		p.set(partSending)
		p.lease = u.l.lease
		u.hold = min(max(u.hold, r.Hold), holdMax)
		return true, nil
	}
	v, err := u.judge(u.d, p, r)
	if err != nil {
		return false, err
	}
	return true, u.follow(r, p, v)
}

// refuseSending says whether a part that its holder is about to send must wait:
// the channel waits since it was leased, as the platform asked for (Retry-After)
// or refuses it, which another lane was told; or its author has lost the
// conversation. What is being sent already gets its outcome.
func (u *turn) refuseSending(p *partRow) (bool, error) {
	if p.state != partQueued {
		return false, nil
	}
	c, err := u.channel(u.l.channel)
	if err != nil || c.pausedUntil > ms(u.t.now) {
		return true, err
	}
	return u.lostOwner(p)
}

// follow does what a verdict about a part says.
func (u *turn) follow(r wire.PartReport, p *partRow, v verdict) error {
	u.d.apply(p, v)
	p.lease = u.l.lease
	u.over = true
	u.delay = max(u.delay, v.LaneDelay)
	u.tried = u.tried || !v.Released
	if v.ChannelFailed { // not the message's attempt: it waits as long as it takes
		u.d.attempts, u.d.firstAttempt, u.d.dirty = 0, 0, true
	}
	c, err := u.channel(u.l.channel)
	if err != nil {
		return err
	}
	if v.ChannelDelay > 0 {
		c.pause(v, r.Class, ms(u.t.now))
	}
	if unanswered(r) {
		c.strike(u.l.id, u.t.now, u.s.outbox.draw())
	}
	if v.RecipientGone {
		if err := u.unreachable(); err != nil {
			return err
		}
	}
	if r.Outcome == wire.OutcomeMigrated {
		return u.migrate(r.NewAddress)
	}
	return nil
}

// late handles a report whose lease is over.
func (u *turn) late(r wire.PartReport, p *partRow) error {
	switch {
	case r.Outcome == wire.OutcomeSent:
		return u.sent(r, p)
	case p.state != partUnknown || p.lease != r.Lease || r.Outcome == wire.OutcomeUnknown || r.Outcome == wire.OutcomeSending:
		return nil
	}
	// The part was unknown because of this lease, and now its holder tells.
	v, err := u.judge(u.d, p, r)
	if err != nil {
		return err
	}
	u.d.apply(p, v)
	if v.RecipientGone {
		return u.unreachable()
	}
	if r.Outcome == wire.OutcomeMigrated {
		return u.migrate(r.NewAddress)
	}
	return nil
}

// sent records that a part was sent. That is a fact, whatever was believed
// before, and whoever tells it.
func (u *turn) sent(r wire.PartReport, p *partRow) error {
	if p.state != partSent {
		p.set(partSent)
		p.lease = r.Lease
		c, err := u.channel(u.l.channel)
		if err != nil {
			return err
		}
		if c.resume(ms(u.t.now)) {
			u.t.ring(u.ch.Bridge)
		}
	}
	if err := u.migrate(r.NewAddress); err != nil {
		return err
	}
	if u.d.action != "" {
		return nil // its id, where it has one, is its target's
	}
	at := r.SentAt
	if at.IsZero() || at.After(u.t.now) { // a platform's clock that is ahead
		at = u.t.now
	}
	for _, id := range r.ExternalIDs {
		if id == "" {
			continue
		}
		if u.d.firstID == "" {
			u.d.firstID = id
		}
		u.refresh(u.d)
		u.sentIDs = append(u.sentIDs, []any{u.l.channel, id, u.d.message, int64(p.index), u.l.id, ms(at), string(u.l.watermark(at))})
		if err := u.own(id); err != nil {
			return err
		}
	}
	return nil
}

// own puts a sent part's platform id under the unique key, and applies what came
// before it. Where an echo was faster than the answer to the send, the echo has
// it, and is absorbed.
func (u *turn) own(id string) error {
	at := address{u.l.channel, id}
	if u.ids[at] == nil { // its channel was named wrongly
		if err := u.t.ask(u.lookUp([]address{at})...); err != nil {
			return err
		}
	}
	switch x := u.ids[at]; x.owner {
	case u.d.message:
		return nil
	case "":
		x.owner = u.d.message
		u.keys = append(u.keys, []any{id, u.l.channel, "message", string(message.Outbound), u.d.message})
		if !x.parked {
			return nil
		}
		if err := u.settle(); err != nil {
			return err
		}
		return u.s.applyParked(u.t, u.ch, id, u.d.message, message.Outbound)
	default:
		if err := u.settle(); err != nil {
			return err
		}
		return u.absorb(id, x.owner)
	}
}

// finish brings everything in line after the group's last report.
func (u *turn) finish(held bool) error {
	released := false
	if held && u.over {
		if err := u.abandon(); err != nil {
			return err
		}
		released = !u.tried
	}
	u.d.settle()
	u.over = u.over || u.d.state != deliveryQueued
	if u.d.state == deliverySent && u.was != deliverySent && u.d.action != "" {
		u.effects = append(u.effects, u.effect)
	}
	switch {
	case held && u.over:
		u.endTurn(u.l, u.delay, released)
	case held:
		u.renew()
	case u.d.state == deliveryQueued:
		return u.joinQueue(u.l)
	}
	return nil
}

// abandon settles what a turn leaves behind: parts that were begun without a
// word about what became of them, and a turn in which nothing was tried.
func (u *turn) abandon() error {
	for i := range u.d.parts {
		p := &u.d.parts[i]
		if p.state != partSending {
			continue
		}
		v, err := u.judge(u.d, p, wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "the bridge began to send it and did not say what became of it"})
		if err != nil {
			return err
		}
		u.d.apply(p, v)
		u.delay = max(u.delay, v.LaneDelay)
		u.tried = true
	}
	for i := range u.d.parts {
		u.tried = u.tried || u.d.parts[i].state == partSent && u.d.parts[i].lease == u.l.lease
	}
	if !u.tried { // given back untouched: not an attempt
		u.d.attempts, u.d.dirty = max(0, u.d.attempts-1), true
		if u.d.attempts == 0 {
			u.d.firstAttempt = 0
		}
	}
	return nil
}

// renew begins the lease anew. While two thirds of it are left (60 s, twice a
// send's timeout) that is not worth a write; a longer one that the holder asks
// for is, and is never shortened.
func (u *turn) renew() {
	until := ms(u.t.now.Add(max(leaseFor, u.hold)))
	if until <= u.l.leaseUntil || u.hold == 0 && until-u.l.leaseUntil < leaseFor.Milliseconds()/3 {
		return
	}
	u.l.leaseUntil, u.l.dirty = until, true
}

// unreachable records that the contact cannot be written to any more, until
// they write or opt in.
func (u *turn) unreachable() error {
	n, err := u.t.exec(`UPDATE identities SET reachable = 0, reachable_at = ? WHERE id = (SELECT identity FROM conversations WHERE id = ?) AND reachable = 1`,
		ms(u.t.now), u.d.conversation)
	if err == nil && n > 0 {
		u.t.event(Event{Type: EventContactUpdated, Channel: u.l.channel, Contact: u.l.contact})
	}
	return err
}

// migrate gives the contact's identity its new address; "" changes nothing.
func (u *turn) migrate(to string) error {
	if to == "" {
		return nil
	}
	var from string
	found, err := one(background, u.t, []any{&from}, `SELECT i.external_id FROM conversations v JOIN identities i ON i.id = v.identity WHERE v.id = ?`, u.d.conversation)
	if err != nil || !found || from == to {
		return err
	}
	return u.s.migrateIdentity(u.t, u.ch, from, to)
}

// effect does to the target message what the platform has done: an edit, a
// deletion, a reaction of the shop.
func (u *turn) effect() error {
	p := u.d.parts[0]
	if _, err := one(background, u.t, []any{&p.payload}, `SELECT payload FROM delivery_parts WHERE message = ? AND part = ?`, u.d.message, p.index); err != nil {
		return err
	}
	part, err := p.content()
	if err != nil {
		return err
	}
	id, found, err := u.t.messageByExternalID(u.l.channel, part.Target)
	if err != nil || !found {
		return err
	}
	m := message.Message{Type: u.d.action, Direction: message.Outbound, Timestamp: u.t.now, Text: part.Text, Buttons: part.Buttons}
	if u.d.action == message.TypeReaction {
		m.Reaction = &message.Reaction{Emoji: part.Emoji, Action: message.ReactionAdd, Target: part.Target}
		if part.Emoji == "" {
			m.Reaction.Action = message.ReactionRemove
		}
	}
	return u.s.applyEffect(u.t, u.ch, id, m, actorShop)
}

// judge asks for the verdict on a report, with what the database knows.
func (b *ledger) judge(d *delivery, p *partRow, r wire.PartReport) (verdict, error) {
	ch := b.s.channelOrStub(d.lane.channel)
	caps, _ := b.s.capabilities(ch)
	a := attempt{Now: b.t.now, Number: max(d.attempts, 1), First: fromMS(d.firstAttempt), Releases: d.lane.releases, Unknowns: p.unknowns,
		Idempotent: caps.Idempotent, ResendUnknown: ch.ResendUnknown, Draw: b.s.outbox.draw()}
	if a.First.IsZero() {
		a.First = b.t.now
	}
	c, err := b.channel(d.lane.channel)
	if err != nil {
		return verdict{}, err
	}
	a.ChannelFailures = c.failures
	if c.pausedUntil > ms(b.t.now) { // another lane met the same failure: it is not one more
		a.ChannelFailures = max(0, a.ChannelFailures-1)
	}
	switch r.Outcome {
	case wire.OutcomeRetry, wire.OutcomeFailed, wire.OutcomeReleased, wire.OutcomeMigrated:
	default: // as judge takes it
		p.unknowns, p.dirty = p.unknowns+1, true
	}
	return judge(r, a), nil
}

// apply gives a part its new state.
func (d *delivery) apply(p *partRow, v verdict) {
	p.set(v.Part)
	d.setReason(v.Reason)
}
