package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// decideDue decides about the triggers that are due, contact by contact, and says
// how long no other will be.
func (x *surveys) decideDue(ctx context.Context) (wait time.Duration, err error) {
	for {
		wait, err := x.untilDue(ctx, `SELECT MIN(due_at) FROM survey_triggers WHERE due_at > 0`)
		if err != nil || wait > 0 {
			return wait, err
		}
		contacts, err := x.claimTriggers(ctx)
		if err != nil {
			return 0, err
		}
		if len(contacts) == 0 {
			return time.Second, nil // another replica is at it
		}
		if err := x.each(len(contacts), func(i int) error { return x.decide(ctx, contacts[i], nil) }); err != nil {
			return 0, err
		}
	}
}

// each does something side by side, so that transactions are shared.
func (*surveys) each(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// claimTriggers claims due triggers and returns whom they are about. A claim only
// keeps other replicas from the same work: who holds the contact's lock decides,
// about all that is due of them.
func (x *surveys) claimTriggers(ctx context.Context) (contacts []string, err error) {
	err = x.s.write(ctx, surveysAtOnce, func(t *txn) (err error) {
		contacts, err = all(t.ctx, t, scanText, `UPDATE survey_triggers SET claimed_until = ? WHERE id IN (SELECT id FROM survey_triggers
			WHERE due_at > 0 AND due_at <= ? AND claimed_until <= ? ORDER BY due_at LIMIT ?`+t.c.db.skipLocked()+`) RETURNING contact`,
			ms(t.now.Add(surveyClaim)), ms(t.now), ms(t.now), surveysAtOnce)
		return err
	})
	slices.Sort(contacts)
	return slices.Compact(contacts), err
}

// place is an address of a contact on a channel.
type place struct {
	identity     int64
	channel      string
	address      string
	reachable    bool
	conversation string // the latest; '' when there is none
}

// places are a contact's addresses on channels in force, the latest of each channel.
func (x *surveys) places(ctx context.Context, q querier, contact string) (map[string]place, error) {
	st := x.s.state.Load()
	list, err := all(ctx, q, func(rows *sql.Rows) (p place, err error) {
		var reachable int64
		err = rows.Scan(&p.identity, &p.channel, &p.address, &reachable, &p.conversation)
		p.reachable = reachable == 1
		return p, err
	}, `SELECT id, channel, external_id, reachable, conversation FROM identities WHERE contact = ? ORDER BY id`, contact)
	places := map[string]place{}
	for _, p := range list {
		if st.channel(p.channel) != nil && !st.gone(p.channel) {
			places[p.channel] = p
		}
	}
	return places, err
}

// decide decides about all that is due of a contact. add may add a trigger before.
func (x *surveys) decide(ctx context.Context, contact string, add func(t *txn) error) error {
	places, err := x.places(ctx, x.s.read, contact)
	if err != nil {
		return err
	}
	needs := newLocks().survey(contact)
	for _, p := range places {
		needs.party(p.channel, p.address).outbox(p.channel)
	}
	return x.s.writeLocked(ctx, 2, needs, func(t *txn) error {
		if add != nil {
			if err := add(t); err != nil {
				return err
			}
		}
		due, err := all(t.ctx, t, scanTrigger, `SELECT `+triggerColumns+` FROM survey_triggers WHERE contact = ? AND due_at > 0 AND due_at <= ? ORDER BY id`, contact, ms(t.now))
		if err != nil || len(due) == 0 {
			return err
		}
		s := &sitting{x: x, t: t, st: x.s.state.Load(), contact: contact, locked: places, askedBy: map[string]bool{}}
		if err := s.read(); err != nil {
			return err
		}
		for _, r := range s.ranked(due) {
			if err := s.decide(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// sitting is where all that is due of one contact is decided, the campaign with the
// highest priority first.
type sitting struct {
	x       *surveys
	t       *txn
	st      *state
	contact string
	hash    string           // of the contact, in the ledger
	locked  map[string]place // places whose locks are held

	person       survey.ContactFacts
	places       map[string]place
	lastInbound  map[string]time.Time // by channel
	busyUntil    map[string]time.Time // by channel: another survey waits for a reply
	attended     map[string]bool      // by channel: a conversation that they wrote in is not solved
	ledger       map[[2]string]*ledgerRow
	before       map[[2]string]survey.Clock // as the ledger was when the sitting began
	surveysUntil int64                      // contacts.surveyed_until
	askedBy      map[string]bool            // groups by whose campaigns the contact was asked now
}

// read collects what all decisions about the contact depend on.
func (s *sitting) read() (err error) {
	ctx, t := s.t.ctx, s.t
	if s.hash, err = s.x.hashes.of(ctx, t, s.contact); err != nil {
		return err
	}
	var attributes string
	s.person.ID = s.contact
	if _, err = one(ctx, t, []any{&s.person.Language, &attributes, &s.surveysUntil}, `SELECT language, attributes, surveyed_until FROM contacts WHERE id = ?`, s.contact); err != nil {
		return err
	}
	if err := unmarshalSome(attributes, &s.person.Attributes); err != nil {
		return err
	}
	if s.places, err = s.x.places(ctx, t, s.contact); err != nil {
		return err
	}
	if s.ledger, err = askedLedger(ctx, t, s.hash); err != nil {
		return err
	}
	s.before = map[[2]string]survey.Clock{}
	for key, r := range s.ledger {
		s.before[key] = r.clock()
	}
	if err := s.readWindows(); err != nil {
		return err
	}
	return s.readBusy()
}

// readWindows reads when the contact last wrote on each channel, and whether somebody
// helps them there.
func (s *sitting) readWindows() error {
	s.lastInbound, s.attended = map[string]time.Time{}, map[string]bool{}
	_, err := all(s.t.ctx, s.t, func(rows *sql.Rows) (struct{}, error) {
		var channel string
		var last, unsolved int64
		err := rows.Scan(&channel, &last, &unsolved)
		s.lastInbound[channel], s.attended[channel] = fromMS(last), unsolved == 1
		return struct{}{}, err
	}, `SELECT channel, MAX(last_inbound_at), MAX(CASE WHEN state <> 'solved' AND last_inbound_at > 0 THEN 1 ELSE 0 END) FROM conversations WHERE contact = ? GROUP BY channel`, s.contact)
	return err
}

// readBusy reads on which channels another survey waits for a reply, and until when.
func (s *sitting) readBusy() error {
	s.busyUntil = map[string]time.Time{}
	open, err := readDialogues(s.t.ctx, s.t, `WHERE contact = ? AND open = 1`, s.contact)
	if err != nil {
		return err
	}
	for i := range open {
		d := &open[i]
		p, err := s.x.program(s.t.ctx, s.t, d.campaign)
		if err != nil {
			return err
		}
		if p != nil {
			s.busyUntil[d.channel] = waitsUntil(p, &d.state)
		}
	}
	return nil
}

// waitsUntil is how long a dialogue keeps others from its channel. One that waits
// for a late score only gives way.
func waitsUntil(p *survey.Program, s *survey.State) time.Time {
	r := &p.Campaign.Replies
	switch s.Phase {
	case survey.PhaseAsked:
		return s.AskedAt.Add(time.Duration(r.Window))
	case survey.PhaseFollowUp:
		until := s.QuestionAt.Add(time.Duration(r.CommentWindow))
		if edited := s.ScoredAt.Add(time.Duration(r.EditWindow)); !s.Frozen && edited.After(until) {
			return edited
		}
		return until
	case survey.PhaseDone:
		return s.ScoredAt.Add(time.Duration(r.EditWindow))
	}
	return time.Time{}
}

// ranked puts triggers into the order in which campaigns come: by priority, by
// name, by age.
func (s *sitting) ranked(due []triggerRow) []*triggerRow {
	list := make([]*triggerRow, len(due))
	for i := range due {
		list[i] = &due[i]
	}
	priority := func(r *triggerRow) int {
		if c := s.x.inForce(s.st, r.campaign); c != nil {
			return c.program.Campaign.Frequency.Priority
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b *triggerRow) int {
		return cmp.Or(cmp.Compare(priority(b), priority(a)), strings.Compare(a.campaign, b.campaign), strings.Compare(a.id, b.id))
	})
	return list
}

// campaignAgain is how long triggers wait for a campaign that is not in force here and
// is not gone: its entry is wrong, or this replica's document is behind.
const campaignAgain = time.Minute

// decide decides about one trigger.
func (s *sitting) decide(r *triggerRow) error {
	c := s.x.inForce(s.st, r.campaign)
	if c == nil {
		return s.missing(r)
	}
	f, err := s.facts(c.program, r)
	if err != nil {
		return err
	}
	d := survey.Decide(c.program, f)
	if d.Assigned {
		if err := s.assign(c.program, r, d); err != nil {
			return err
		}
	}
	if d.Exit == survey.Asked {
		if _, ours := s.locked[d.Channel]; !ours { // the address came meanwhile: once more, with its locks
			return s.t.later(`UPDATE survey_triggers SET claimed_until = 0 WHERE id = ?`, r.id)
		}
		if err := s.ask(c, r, &d); err != nil {
			return err
		}
	}
	return s.t.decided(r, d, f)
}

// missing is for a trigger whose campaign is not in force. One that has not come back
// once a question would have been deferred for too long asks nobody any more.
func (s *sitting) missing(r *triggerRow) error {
	var removed int64
	if _, err := one(s.t.ctx, s.t, []any{&removed}, `SELECT removed_at FROM survey_campaigns WHERE campaign = ?`, r.campaign); err != nil {
		return err
	}
	p, err := s.x.program(s.t.ctx, s.t, r.campaign)
	if err != nil {
		return err
	}
	patience := survey.DefaultMaxDefer
	if p != nil {
		patience = p.MaxDefer()
	}
	if removed > 0 || s.t.now.Sub(fromMS(r.at)) > patience {
		return s.t.decided(r, survey.Decision{Exit: survey.Stopped}, nil)
	}
	return s.t.later(`UPDATE survey_triggers SET due_at = ?, claimed_until = 0 WHERE id = ?`, ms(s.t.now.Add(campaignAgain)), r.id)
}

// groupKey is the ledger's key of a campaign's group, which is its namespace's.
func groupKey(p *survey.Program) [2]string {
	return [2]string{ledgerGroup, namespaceOf(p.Name) + "/" + p.Campaign.Frequency.Group}
}

// campaignKey is what the ledger knows by when a campaign asked, in whichever run.
func campaignKey(p *survey.Program) [2]string { return [2]string{ledgerCampaign, p.Name} }

// drawKey is what the ledger knows by where a run's draws put a contact.
func drawKey(run string) [2]string { return [2]string{ledgerCampaign, run} }

// facts collects what one decision depends on.
func (s *sitting) facts(p *survey.Program, r *triggerRow) (*survey.Facts, error) {
	f := &survey.Facts{Now: s.t.now, Event: r.event, TriggeredAt: fromMS(r.at), Contact: s.person, NegativeEvent: r.negativeAt > 0}
	var stopped, ended, removed int64
	if _, err := one(s.t.ctx, s.t, []any{&stopped, &ended, &removed}, `SELECT stopped_at, ended_at, removed_at FROM survey_campaigns WHERE campaign = ?`, r.campaign); err != nil {
		return nil, err
	}
	f.Stopped = stopped > 0 || ended > 0 || removed > 0
	var err error
	if f.Contact.Consent, err = consentOf(s.t.ctx, s.t, s.hash, p.Campaign.Audience.Consent.Purpose); err != nil {
		return nil, err
	}
	if err := s.conversationFacts(p, r, f); err != nil {
		return nil, err
	}
	s.channelFacts(p, f)
	if f.Ledger.Already, err = s.already(p, r); err != nil {
		return nil, err
	}
	group := groupKey(p)
	f.Ledger.Campaign, f.Ledger.Group = s.clock(campaignKey(p)), s.clock(group)
	grouped := p.Campaign.Frequency.Group != ""
	if grouped && s.askedBy[group[1]] {
		// Who may wait does so, by the cool-down that began just now; who may not is
		// outranked, and not throttled by what began after it came.
		if defers := p.Campaign.Frequency.OnThrottled == survey.ThrottledDefer && p.Campaign.Frequency.GroupCooldown > 0; !defers {
			f.Ledger.Group, f.Outranked = s.before[group], true
		}
	}
	if row := s.ledger[drawKey(r.campaign)]; row != nil && row.assignedAt > 0 && p.Campaign.Sampling.Unit == survey.UnitContact {
		kept := row.assignment
		f.Assigned = &kept
	}
	return f, nil
}

func (s *sitting) clock(key [2]string) survey.Clock {
	if r := s.ledger[key]; r != nil {
		return r.clock()
	}
	return survey.Clock{}
}

// conversationFacts are about the conversation that the event is about. One that is
// gone was not reopened.
func (s *sitting) conversationFacts(p *survey.Program, r *triggerRow, f *survey.Facts) error {
	if r.conversation == "" {
		return nil
	}
	f.Conversation = survey.ConversationFacts{ID: r.conversation, AutoResolved: r.autoResolved == 1}
	var state, labels string
	var solvedAt int64
	found, err := one(s.t.ctx, s.t, []any{&f.Conversation.Channel, &state, &solvedAt, &labels}, `SELECT v.channel, v.state, v.solved_at, COALESCE(r.labels, '')
		FROM conversations v LEFT JOIN routings r ON r.conversation = v.id WHERE v.id = ?`, r.conversation)
	if err != nil || !found {
		return err
	}
	f.Reopened = r.resolution > 0 && (state != string(ConversationSolved) || solvedAt != r.resolution)
	if r.resolution > 0 && !f.Reopened {
		if f.Reopened, err = s.cameBack(r, f.Conversation.Channel); err != nil {
			return err
		}
	}
	if err := unmarshalSome(labels, &f.Conversation.Labels); err != nil {
		return err
	}
	most := p.InboundMessages()
	if most == 0 {
		return nil
	}
	_, err = one(s.t.ctx, s.t, []any{&f.Conversation.InboundMessages},
		`SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE conversation = ? AND direction = 'inbound' LIMIT ?) AS few`, r.conversation, most)
	return err
}

// cameBack says that the contact has begun another conversation in the thread since
// this one was solved (a follow-up), or has one there that is not: somebody is helping
// them, and it is no time to ask.
func (s *sitting) cameBack(r *triggerRow, channel string) (bool, error) {
	var others int
	_, err := one(s.t.ctx, s.t, []any{&others}, `SELECT COUNT(*) FROM conversations WHERE contact = ? AND channel = ? AND id <> ? AND last_inbound_at > 0
		AND (state <> 'solved' OR id > ? AND created_at >= ?)`, s.contact, channel, r.conversation, r.conversation, r.resolution)
	return others > 0, err
}

// channelFacts are about the campaign's channels on which the contact is known.
func (s *sitting) channelFacts(p *survey.Program, f *survey.Facts) {
	for _, name := range p.Campaign.Channels {
		at, known := s.places[name]
		ch := s.st.channel(name)
		if !known || ch == nil {
			continue
		}
		caps, sends := s.x.s.capabilities(ch)
		c := survey.ChannelFacts{Name: name, Reachable: at.reachable && sends && !ch.Suspended, SurveyUntil: s.busyUntil[name], Attended: s.attended[name]}
		if caps.Window > 0 {
			// The window includes its end, and so does not the fact. Who never wrote has none.
			c.WindowUntil = s.lastInbound[name].Add(caps.Window + time.Millisecond)
			if s.lastInbound[name].IsZero() {
				c.WindowUntil = time.UnixMilli(1).UTC()
			}
		}
		f.Channels = append(f.Channels, c)
	}
}

// already says whether the campaign asked about this resolution, conversation or
// contact, as it says.
func (s *sitting) already(p *survey.Program, r *triggerRow) (bool, error) {
	var asked int
	switch p.Campaign.Trigger.OncePer {
	case survey.OncePerContact:
		row := s.ledger[campaignKey(p)]
		return row != nil && row.sentAt > 0, nil
	case survey.OncePerConversation:
		if r.conversation == "" {
			return false, nil
		}
		_, err := one(s.t.ctx, s.t, []any{&asked}, `SELECT COUNT(*) FROM survey_dialogues WHERE subject = ? AND subject <> '' AND campaign = ? AND outcome <> 'failed'`, r.conversation, r.campaign)
		return asked > 0, err
	}
	if r.conversation == "" {
		return false, nil
	}
	_, err := one(s.t.ctx, s.t, []any{&asked}, `SELECT COUNT(*) FROM survey_dialogues WHERE subject = ? AND subject <> '' AND campaign = ? AND resolution = ? AND outcome <> 'failed'`, r.conversation, r.campaign, r.resolution)
	return asked > 0, err
}

// assign keeps where the draws put the contact, before anything throttles: groups
// are compared as they were drawn. The first time counts.
func (s *sitting) assign(p *survey.Program, r *triggerRow, d survey.Decision) error {
	key := drawKey(r.campaign)
	row := s.ledger[key]
	if row == nil {
		row = &ledgerRow{kind: key[0], name: key[1]}
		s.ledger[key] = row
	}
	first := row.assignedAt == 0
	byConversation := p.Campaign.Sampling.Unit == survey.UnitConversation && r.exit == ""
	if (first || byConversation) && (d.Assignment.Sampled || d.Assignment.HeldOut) {
		s.t.count(r.campaign, countContacts, armOf(d), 1)
	}
	if !first {
		return nil
	}
	row.assignedAt, row.assignment = ms(s.t.now), d.Assignment
	if err := s.t.later(`INSERT INTO survey_ledger (contact, kind, name, assigned_at, held_out, sampled, arm) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (contact, kind, name) DO UPDATE SET assigned_at = excluded.assigned_at, held_out = excluded.held_out, sampled = excluded.sampled, arm = excluded.arm`,
		s.hash, key[0], key[1], row.assignedAt, boolInt(d.Assignment.HeldOut), boolInt(d.Assignment.Sampled), d.Assignment.Arm); err != nil {
		return err
	}
	until := ms(s.t.now.Add(survey.RepeatContactWindow))
	if until <= s.surveysUntil {
		return nil
	}
	s.surveysUntil = until
	return s.t.later(`UPDATE contacts SET surveyed_until = ? WHERE id = ?`, until, s.contact)
}
