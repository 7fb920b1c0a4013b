package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// advanceDue lets time pass in the dialogues in which it does something: it reminds,
// freezes a score and acts on it, expires. It says how long nothing will be.
func (x *surveys) advanceDue(ctx context.Context) (time.Duration, error) {
	for {
		wait, err := x.untilDue(ctx, `SELECT MIN(next_at) FROM survey_dialogues WHERE next_at > 0`)
		if err != nil || wait > 0 {
			return wait, err
		}
		claimed, err := x.claimDialogues(ctx)
		if err != nil {
			return 0, err
		}
		if len(claimed) == 0 {
			return time.Second, nil // another replica is at it
		}
		if err := x.each(len(claimed), func(i int) error { return x.advance(ctx, claimed[i]) }); err != nil {
			return 0, err
		}
	}
}

func (x *surveys) claimDialogues(ctx context.Context) (ids []string, err error) {
	err = x.s.write(ctx, surveysAtOnce, func(t *txn) (err error) {
		ids, err = all(t.ctx, t, scanText, `UPDATE survey_dialogues SET claimed_until = ? WHERE id IN (SELECT id FROM survey_dialogues
			WHERE next_at > 0 AND next_at <= ? AND claimed_until <= ? ORDER BY next_at LIMIT ?`+t.c.db.skipLocked()+`) RETURNING id`,
			ms(t.now.Add(surveyClaim)), ms(t.now), ms(t.now), surveysAtOnce)
		return err
	})
	return ids, err
}

// advance lets time pass in one dialogue.
func (x *surveys) advance(ctx context.Context, id string) error {
	return x.s.write(ctx, 1, func(t *txn) error {
		d, err := t.lockDialogue(id)
		if err != nil || d == nil || d.nextAt == 0 || d.nextAt > ms(t.now) {
			return err
		}
		p, err := x.program(t.ctx, t, d.campaign)
		if err != nil {
			return err
		}
		if p == nil { // nobody knows any more what was asked
			d.nextAt = 0
			return t.saveDialogue(d)
		}
		var conversation, state string
		if _, err := one(t.ctx, t, []any{&conversation, &state}, `SELECT v.id, v.state FROM identities i JOIN conversations v ON v.id = i.conversation WHERE i.id = ?`, d.identity); err != nil {
			return err
		}
		attended := conversation != "" && state != string(ConversationSolved)
		_, err = x.step(t, d, survey.Input{Kind: survey.InputTimer, Attended: attended}, conversation)
		return err
	})
}

const (
	// campaignsEvery is how often campaigns are looked at at most: what stops one by
	// its answers does so within a second.
	campaignsEvery = time.Second
)

// scored notes that there are scores that stop rules have not seen.
func (x *surveys) scored() {
	x.mu.Lock()
	x.answered = true
	x.mu.Unlock()
	x.s.signals.wake(topicSurveys)
}

// campaignState is how far a campaign is.
type campaignState struct {
	name                 string // of the run
	startedAt, stoppedAt int64
	stop                 string
	endedAt, dueUntil    int64
	removedAt            int64
	hash                 string
}

// lookAtCampaigns stops campaigns by their rules, and ends those about which nothing
// changes any more. It says when to look again.
func (x *surveys) lookAtCampaigns(ctx context.Context) (time.Duration, error) {
	st, now := x.s.state.Load(), x.s.now()
	x.mu.Lock()
	since := now.Sub(x.lookedAt)
	answered := x.answered
	if wait := campaignsEvery - since; answered && since >= 0 && wait > 0 {
		x.mu.Unlock()
		return wait, nil
	}
	if !answered && since >= 0 && since < surveysRecheck {
		x.mu.Unlock()
		return surveysRecheck - since, nil
	}
	x.lookedAt, x.answered = now, false
	x.mu.Unlock()
	list, err := all(ctx, x.s.read, func(rows *sql.Rows) (c campaignState, err error) {
		return c, rows.Scan(&c.name, &c.startedAt, &c.stoppedAt, &c.stop, &c.endedAt, &c.dueUntil, &c.removedAt, &c.hash)
	}, `SELECT campaign, started_at, stopped_at, stop, ended_at, due_until, removed_at, hash FROM survey_campaigns WHERE ended_at = 0 AND (removed_at = 0 OR started_at > 0) ORDER BY campaign`)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, c := range list {
		switch entry := x.inForce(st, c.name); {
		case c.removedAt > 0:
			errs = append(errs, x.lookAtRemoved(ctx, c))
		case entry != nil && entry.hash == c.hash: // else another replica knows better
			errs = append(errs, x.lookAt(ctx, entry.program, c))
		}
	}
	return surveysRecheck, errors.Join(errs...)
}

// lookAtRemoved ends a run whose resource is gone, once nothing can be answered to it
// in time any more: its result stays as it is.
func (x *surveys) lookAtRemoved(ctx context.Context, c campaignState) error {
	p, err := x.program(ctx, x.s.read, c.name)
	if err != nil || p == nil {
		return err
	}
	now := x.s.now()
	if !p.Closed(now) && now.Before(p.ClosesAt(fromMS(c.removedAt))) {
		return nil
	}
	return x.change(ctx, `UPDATE survey_campaigns SET ended_at = ? WHERE campaign = ? AND ended_at = 0 AND removed_at > 0`, ms(now), c.name)
}

// lookAt looks whether one campaign stops or ends, by the version of it that is in
// force: what is written is not if that is another by then.
func (x *surveys) lookAt(ctx context.Context, p *survey.Program, c campaignState) error {
	if c.startedAt > 0 && p.Campaign.Stop != (survey.Stop{}) {
		if err := x.countDue(ctx, p, c); err != nil {
			return err
		}
	}
	stop, err := json.Marshal(p.Campaign.Stop)
	if err != nil {
		return err
	}
	now := x.s.now()
	if c.stoppedAt == 0 && c.startedAt > 0 {
		counts, err := readSurveyCounts(ctx, x.s.read, c.name)
		if err != nil {
			return err
		}
		if rule := p.Stops(counts.totals(p)); rule != survey.StopNone {
			c.stoppedAt = ms(now)
			if err := x.change(ctx, `UPDATE survey_campaigns SET stopped_at = ?, stop_rule = ?, stop = ? WHERE campaign = ? AND stopped_at = 0 AND hash = ?`,
				c.stoppedAt, string(rule), string(stop), c.name, c.hash); err != nil {
				return err
			}
		}
	}
	if p.Closed(now) || c.stoppedAt > 0 && !now.Before(p.ClosesAt(fromMS(c.stoppedAt))) {
		return x.change(ctx, `UPDATE survey_campaigns SET ended_at = ? WHERE campaign = ? AND ended_at = 0 AND hash = ?`, ms(now), c.name, c.hash)
	}
	return nil
}

func (x *surveys) change(ctx context.Context, query string, args ...any) error {
	return x.s.write(ctx, 1, func(t *txn) error { return t.later(query, args...) })
}

// countDue counts the questions whose time to answer has come to its end since it
// was counted last, for the floor of the response rate.
func (x *surveys) countDue(ctx context.Context, p *survey.Program, c campaignState) error {
	until := ms(x.s.now().Add(-time.Duration(p.Campaign.Replies.Window)))
	if until <= c.dueUntil || p.Campaign.Stop.FloorResponseRate == "" {
		return nil
	}
	return x.s.write(ctx, 1, func(t *txn) error {
		moved, err := t.exec(`UPDATE survey_campaigns SET due_until = ? WHERE campaign = ? AND due_until = ?`, until, c.name, c.dueUntil)
		if err != nil || moved == 0 {
			return err // another replica did
		}
		var due, answered int64
		if _, err := one(t.ctx, t, []any{&due, &answered}, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END), 0)
			FROM survey_dialogues WHERE campaign = ? AND asked_at > ? AND asked_at <= ?`, c.name, c.dueUntil, until); err != nil {
			return err
		}
		t.count(c.name, countDue, noArm, due)
		t.count(c.name, countDueAnswered, noArm, answered)
		return nil
	})
}

// totals are what stop rules look at.
func (c surveyCounts) totals(p *survey.Program) survey.Totals {
	return survey.Totals{Responses: c.sum(countAnswered), Due: c.sum(countDue), Answered: c.sum(countDueAnswered), HalfWidth: p.HalfWidth(c.scores())}
}
