package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// What surveys know of two contacts that become one.

const (
	// leftArm is the arm of who has left a comparison: beyond all arms
	// (survey.MaxArms), and the greatest that a packed score can hold (selectScores).
	leftArm = 15
	// longAhead is after all that time does to a dialogue: windows are days.
	longAhead = 10 * 365 * 24 * time.Hour
)

// mergeSurveys gives what surveys know of one contact to another.
func (t *txn) mergeSurveys(from, to string) error {
	if err := t.giveWay(from, to); err != nil {
		return err
	}
	askedFrom, err := t.askedBy(from)
	if err != nil {
		return err
	}
	askedTo, err := t.askedBy(to)
	if err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE survey_dialogues SET contact = ? WHERE contact = ?`, `UPDATE survey_triggers SET contact = ? WHERE contact = ?`, `UPDATE survey_answers SET contact = ? WHERE contact = ?`,
	} {
		if err := t.later(query, to, from); err != nil {
			return err
		}
	}
	if err := t.later(`UPDATE contacts SET surveyed_until = COALESCE((SELECT MAX(o.surveyed_until) FROM contacts o WHERE o.id IN (contacts.id, ?)), 0) WHERE id = ?`, from, to); err != nil {
		return err
	}
	hashFrom, err := t.c.surveys.hashes.of(t.ctx, t, from)
	if errors.Is(err, errNoSalt) {
		return nil // there is nothing to merge
	}
	if err != nil {
		return err
	}
	hashTo, err := t.c.surveys.hashes.of(t.ctx, t, to)
	if err != nil {
		return err
	}
	theirs, err := fullLedger(t.ctx, t, hashFrom, askedFrom)
	if err != nil {
		return err
	}
	ours, err := fullLedger(t.ctx, t, hashTo, askedTo)
	if err != nil {
		return err
	}
	if err := t.mergeLedger(theirs, ours, hashTo, to); err != nil {
		return err
	}
	if err := t.later(`DELETE FROM survey_ledger WHERE contact = ?`, hashFrom); err != nil {
		return err
	}
	return t.mergeConsents(hashFrom, hashTo)
}

// askedBy are the runs by which a contact was asked.
func (t *txn) askedBy(contact string) (map[string]bool, error) {
	runs, err := all(t.ctx, t, scanText, `SELECT DISTINCT campaign FROM survey_dialogues WHERE contact = ? AND outcome <> 'failed'`, contact)
	asked := make(map[string]bool, len(runs))
	for _, run := range runs {
		asked[run] = true
	}
	return asked, err
}

// giveWay ends the dialogues of a contact on channels on which the other one has
// one open, too: there is one at a time. What time would have done to them is done
// now, so that no question is without an outcome, and no score without its action.
func (t *txn) giveWay(from, to string) error {
	open, err := all(t.ctx, t, scanText, `SELECT d.id FROM survey_dialogues d WHERE d.contact = ? AND d.open = 1 AND EXISTS
		(SELECT 1 FROM survey_dialogues o WHERE o.contact = ? AND o.channel = d.channel AND o.open = 1) ORDER BY d.id`, from, to)
	if err != nil {
		return err
	}
	for _, id := range open {
		d, err := t.lockDialogue(id)
		if err == nil && d != nil {
			err = t.c.surveys.conclude(t, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conclude ends a dialogue as if its time were over, without another word.
func (x *surveys) conclude(t *txn, d *dialogueRow) error {
	p, err := x.program(t.ctx, t, d.campaign)
	if err != nil {
		return err
	}
	before := d.state
	after, effects := before, []survey.Effect(nil)
	if p != nil {
		after, effects = survey.Step(p, before, survey.Input{Kind: survey.InputAgentWrote}, t.now.Add(longAhead))
	}
	if after.Open() {
		after.Phase = survey.PhaseClosed
	}
	d.state, d.open, d.nextAt = after, false, 0
	if p != nil {
		st := &stepping{x: x, t: t, p: p, d: d, before: &before, after: &after}
		st.outcome()
		st.tally()
		for _, e := range effects {
			if err := st.effect(e, ""); err != nil {
				return err
			}
		}
	}
	if err := t.later(`UPDATE identities SET survey = '' WHERE id = ? AND survey = ?`, d.identity, d.id); err != nil {
		return err
	}
	return t.saveDialogue(d)
}

// fullLedgerRow is a row of the ledger with all that a merge joins.
type fullLedgerRow struct {
	ledgerRow
	returnedAt, optedOutAt int64
	// asked by the run that the row is of. When a campaign asked is known by its name,
	// for all of its runs, and questions are forgotten some day.
	asked bool
}

func (r *fullLedgerRow) draw() survey.Draw {
	return survey.Draw{Assignment: r.assignment, At: fromMS(r.assignedAt), Asked: r.assignedAt > 0 && (r.asked || r.sentAt > 0)}
}

func fullLedger(ctx context.Context, q querier, contact string, asked map[string]bool) ([]*fullLedgerRow, error) {
	return all(ctx, q, func(rows *sql.Rows) (*fullLedgerRow, error) {
		r := &fullLedgerRow{}
		var held, sampled int64
		err := rows.Scan(&r.kind, &r.name, &r.sentAt, &r.answeredAt, &r.assignedAt, &held, &sampled, &r.assignment.Arm, &r.returnedAt, &r.optedOutAt)
		r.assignment.HeldOut, r.assignment.Sampled = held == 1, sampled == 1
		r.asked = r.kind == ledgerCampaign && asked[r.name]
		return r, err
	}, `SELECT kind, name, sent_at, answered_at, assigned_at, held_out, sampled, arm, returned_at, opted_out_at FROM survey_ledger WHERE contact = ? ORDER BY kind, name`, contact)
}

// mergeLedger gives what the ledger knows of one contact to another, whose hash and
// id are named: the later of two clocks counts, and of two draws the one that
// survey.JoinDraws says.
func (t *txn) mergeLedger(theirs, ours []*fullLedgerRow, hash, contact string) (err error) {
	known := map[[2]string]*fullLedgerRow{}
	for _, r := range ours {
		known[[2]string{r.kind, r.name}] = r
	}
	for _, r := range theirs {
		joined := r
		if have := known[[2]string{r.kind, r.name}]; have != nil {
			if joined, err = t.joinLedgerRows(r, have, contact); err != nil {
				return err
			}
		}
		if err := t.saveLedger(hash, joined); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) saveLedger(contact string, r *fullLedgerRow) error {
	return t.later(`INSERT INTO survey_ledger (contact, kind, name, sent_at, answered_at, assigned_at, held_out, sampled, arm, returned_at, opted_out_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (contact, kind, name) DO UPDATE SET sent_at = excluded.sent_at, answered_at = excluded.answered_at,
		assigned_at = excluded.assigned_at, held_out = excluded.held_out, sampled = excluded.sampled, arm = excluded.arm,
		returned_at = excluded.returned_at, opted_out_at = excluded.opted_out_at`,
		contact, r.kind, r.name, r.sentAt, r.answeredAt, r.assignedAt, boolInt(r.assignment.HeldOut), boolInt(r.assignment.Sampled), r.assignment.Arm, r.returnedAt, r.optedOutAt)
}

// joinLedgerRows joins two rows of one campaign or group. Where the draws of the
// campaign are of contacts, two that were counted are one from then on; who was
// asked in two arms is in none any more.
func (t *txn) joinLedgerRows(a, b *fullLedgerRow, contact string) (*fullLedgerRow, error) {
	joined := &fullLedgerRow{ledgerRow: ledgerRow{kind: a.kind, name: a.name, sentAt: max(a.sentAt, b.sentAt), answeredAt: max(a.answeredAt, b.answeredAt)},
		returnedAt: max(a.returnedAt, b.returnedAt), optedOutAt: max(a.optedOutAt, b.optedOutAt)}
	draw, left := survey.JoinDraws(a.draw(), b.draw())
	joined.assignedAt, joined.assignment = ms(draw.At), draw.Assignment
	if a.kind != ledgerCampaign {
		return joined, nil
	}
	p, err := t.c.surveys.program(t.ctx, t, a.name)
	if err != nil {
		return nil, err
	}
	if p != nil && p.Campaign.Sampling.Unit == survey.UnitConversation {
		if left { // a contact is in many arms there, by their conversations
			joined.assignedAt, joined.assignment = b.assignedAt, b.assignment
		}
		return joined, nil
	}
	t.countDraw(a, -1)
	t.countDraw(b, -1)
	t.countDraw(joined, 1)
	if left {
		return joined, t.leaveArms(a.name, contact)
	}
	return joined, nil
}

// countDraw counts a contact in the group that it was drawn for, with what it did.
func (t *txn) countDraw(r *fullLedgerRow, n int64) {
	if r.assignedAt == 0 || !r.assignment.Sampled && !r.assignment.HeldOut {
		return
	}
	arm := armOf(survey.Decision{Assigned: true, Assignment: r.assignment})
	t.count(r.name, countContacts, arm, n)
	if r.returnedAt > 0 {
		t.count(r.name, countContactsReturned, arm, n)
	}
	if r.optedOutAt > 0 {
		t.count(r.name, countContactsOptedOut, arm, n)
	}
}

// leaveArms takes all that a contact was asked by a campaign, and answered, out of
// the comparison of its arms. It stays in the result of all.
func (t *txn) leaveArms(campaign, contact string) error {
	list, err := readDialogues(t.ctx, t, `WHERE contact = ? AND campaign = ? AND arm <> ? ORDER BY id`, contact, campaign, leftArm)
	if err != nil {
		return err
	}
	for i := range list {
		d, err := t.lockDialogue(list[i].id)
		if err != nil || d == nil {
			return err
		}
		for _, name := range countedOf(d) {
			t.count(campaign, name, d.arm, -1)
			t.count(campaign, name, leftArm, 1)
		}
		if err := t.later(`UPDATE survey_dialogues SET arm = ? WHERE id = ?`, leftArm, d.id); err != nil {
			return err
		}
		if err := t.later(`UPDATE survey_responses SET arm = ? WHERE campaign = ? AND dialogue = ?`, leftArm, campaign, d.id); err != nil {
			return err
		}
	}
	return nil
}

// countedOf are the counters that a question is in, with its arm.
func countedOf(d *dialogueRow) []string {
	names := []string{survey.Asked.String()}
	for name, counted := range map[string]bool{
		d.delivery: d.delivery != "", d.outcome: d.outcome != outcomeWaiting, countClarified: d.state.Clarified, countLate: d.state.Late,
		countCompleted: d.state.Scored && d.state.Completed, countScore + strconv.Itoa(d.state.Score): d.state.Scored,
	} {
		if counted {
			names = append(names, name)
		}
	}
	return names
}

// mergeConsents keeps of two words about a purpose the later one. Who opted out and
// in at the same moment is left alone.
func (t *txn) mergeConsents(from, to string) error {
	if err := t.later(`INSERT INTO contact_consents (contact, purpose, state, at, source) SELECT ?, purpose, state, at, source FROM contact_consents WHERE contact = ?
		ON CONFLICT (contact, purpose) DO UPDATE SET state = excluded.state, at = excluded.at, source = excluded.source
		WHERE excluded.at > contact_consents.at OR excluded.at = contact_consents.at AND excluded.state = 'optedOut'`, to, from); err != nil {
		return err
	}
	return t.later(`DELETE FROM contact_consents WHERE contact = ?`, from)
}
