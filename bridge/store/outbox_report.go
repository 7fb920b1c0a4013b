package store

import (
	"context"
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
		for _, g := range groups {
			if err := s.reportDelivery(t, bridge, req.Reports, g, accepted); err != nil {
				return err
			}
		}
		return nil
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

// turn is one group of reports on its way.
type turn struct {
	s  *Store
	t  *txn
	ch *Channel
	d  *delivery
	l  *laneRow

	over    bool          // the turn ends with these reports
	hold    time.Duration // the holder asks for a lease of this length
	tried   bool          // something was sent in it, or tried to
	delay   time.Duration
	firstID string
	was     deliveryState
}

func (s *Store) reportDelivery(t *txn, bridge string, reports []wire.PartReport, group []int, accepted []bool) error {
	first := reports[group[0]]
	d, l, err := loadDelivery(t, first.Delivery)
	if err != nil || d == nil {
		return err
	}
	ch := s.channelOrStub(l.channel)
	if ch.Bridge != bridge && l.leaseBridge != bridge {
		return nil
	}
	if first.Channel != l.channel { // named wrongly, or not at all
		if err := t.hold(spaceOutbox, l.channel); err != nil {
			return err
		}
		if d, l, err = loadDelivery(t, first.Delivery); err != nil || d == nil {
			return err
		}
	}
	if l.leaseUntil > 0 && l.leaseUntil <= ms(t.now) {
		if err := s.expireLane(t, l); err != nil {
			return err
		}
		if d, l, err = loadDelivery(t, first.Delivery); err != nil || d == nil {
			return err
		}
	}
	u := &turn{s: s, t: t, ch: ch, d: d, l: l, was: d.state}
	held := l.heldBy(first.Lease, d.message, t.now)
	for _, i := range group {
		r := reports[i]
		if r.Part < 0 || r.Part >= len(d.parts) {
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
		// Settled by a late report: it must not be sent again, and the holder,
		// told so, gives the rest of its turn up.
		u.over = u.over || r.Outcome == wire.OutcomeSending
		return r.Outcome != wire.OutcomeSending, nil
	case r.Outcome == wire.OutcomeSending:
		if lost, err := u.lostOwner(p); err != nil || lost {
			u.over = true
			return false, err
		}
		p.set(partSending)
		p.lease = u.l.lease
		u.hold = min(max(u.hold, r.Hold), holdMax)
		return true, nil
	}
	v, err := u.s.judge(u.t, u.d, u.l, p, r)
	if err != nil {
		return false, err
	}
	return true, u.follow(r, p, v)
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
	if v.ChannelDelay > 0 {
		if err := u.pauseChannel(v, r.Class); err != nil {
			return err
		}
	}
	if unanswered(r) {
		if err := u.strike(); err != nil {
			return err
		}
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
	v, err := u.s.judge(u.t, u.d, u.l, p, r)
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
		if err := u.resumeChannel(); err != nil {
			return err
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
		if u.firstID == "" {
			u.firstID = id
		}
		if _, err := u.t.exec(`INSERT INTO sent_ids (channel, external_id, message, part, lane, sent_at, receipt) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			u.l.channel, id, u.d.message, p.index, u.l.id, ms(at), string(u.l.watermark(at))); err != nil {
			return err
		}
		owner, err := u.s.recordExternalID(u.t, u.ch, message.Outbound, id, u.d.message)
		if err != nil {
			return err
		}
		if owner != u.d.message { // an echo was faster than this report
			if err := u.absorb(id, owner); err != nil {
				return err
			}
		}
	}
	return nil
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
	if err := u.d.save(u.t); err != nil {
		return err
	}
	if err := u.s.refresh(u.t, u.d, u.l, u.firstID); err != nil {
		return err
	}
	if u.d.state == deliverySent && u.was != deliverySent && u.d.action != "" {
		if err := u.effect(); err != nil {
			return err
		}
	}
	switch {
	case held && u.over:
		return u.s.endTurn(u.t, u.l, u.delay, released)
	case held:
		return u.renew()
	case u.d.state == deliveryQueued:
		return u.s.joinQueue(u.t, u.l)
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
		v, err := u.s.judge(u.t, u.d, u.l, p, wire.PartReport{Outcome: wire.OutcomeUnknown, Reason: "the bridge began to send it and did not say what became of it"})
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
func (u *turn) renew() error {
	until := ms(u.t.now.Add(max(leaseFor, u.hold)))
	if until <= u.l.leaseUntil || u.hold == 0 && until-u.l.leaseUntil < leaseFor.Milliseconds()/3 {
		return nil
	}
	_, err := u.t.exec(`UPDATE lanes SET lease_until = ? WHERE id = ?`, until, u.l.id)
	return err
}

// pauseChannel keeps the whole channel waiting. Several lanes that meet the
// same refusal at the same time count as one failure.
func (u *turn) pauseChannel(v verdict, class wire.ErrorClass) error {
	now := ms(u.t.now)
	until := now + ceilMS(v.ChannelDelay)
	refused := ""
	if v.ChannelFailed {
		refused = string(class)
	}
	_, err := u.t.exec(`UPDATE outbox_channels SET
		refused = CASE WHEN ? = '' THEN refused ELSE ? END,
		failures = CASE WHEN paused_until <= ? THEN failures + ? ELSE failures END,
		paused_until = CASE WHEN paused_until > ? THEN paused_until ELSE ? END,
		ready_at = CASE WHEN paused_until > ? THEN paused_until ELSE ? END,
		due_at = CASE WHEN due_at = 0 THEN 0 WHEN paused_until > ? THEN paused_until ELSE ? END
		WHERE channel = ?`, refused, refused, now, boolInt(v.ChannelFailed), until, until, until, until, until, until, u.l.channel)
	return err
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
	part, err := u.d.parts[0].content()
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
func (s *Store) judge(t *txn, d *delivery, l *laneRow, p *partRow, r wire.PartReport) (verdict, error) {
	ch := s.channelOrStub(l.channel)
	caps, _ := s.capabilities(ch)
	a := attempt{Now: t.now, Number: max(d.attempts, 1), First: fromMS(d.firstAttempt), Releases: l.releases, Unknowns: p.unknowns,
		Idempotent: caps.Idempotent, ResendUnknown: ch.ResendUnknown, Draw: s.outbox.draw()}
	if a.First.IsZero() {
		a.First = t.now
	}
	var paused int64
	if _, err := one(background, t, []any{&a.ChannelFailures, &paused}, `SELECT failures, paused_until FROM outbox_channels WHERE channel = ?`, l.channel); err != nil {
		return verdict{}, err
	}
	if paused > ms(t.now) { // another lane met the same failure: it is not one more
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
