package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Surveys. Whom a campaign asks, and what replies mean, is decided by package
// survey, which is pure; here facts are collected, and what follows is kept:
//
//	a conversation is solved ─┐                                    ┌─► survey_ledger: drawn, asked
//	REST: Manual, API        ─┼─► survey_triggers ──► Decide ──────┼─► survey_counts: the funnel
//	a deferral is over       ─┘     (when due)         Asked ──────┴─► survey_dialogues + outbox
//
//	a message, before routing ─┐                       ┌─► survey_responses, survey_answers, counts
//	time (reminder, the end)  ─┼─► dialogue ──► Step ──┼─► errands: a text to say, an action to do
//	a person writes, reopens  ─┘                       └─► consumed, or routed
//
// Each line is one transaction: nobody is asked twice, whatever fails in between.
// Due rows are claimed, so that replicas share them. What follows from a reply
// needs the outbox, and so is an errand (errand.go).

// surveys is what surveys keep in memory; nothing of it is needed after a restart.
type surveys struct {
	s      *Store
	hashes contactHashes
	// runs of the campaigns in force, by name.
	runs atomic.Pointer[map[string]string]

	mu sync.Mutex
	// begun are runs that are known to have asked somebody.
	begun map[string]bool
	// past are programs of runs that are not in force, by run and hash.
	past map[[2]string]*survey.Program
	// answered: scores came in since campaigns were looked at.
	answered bool
	// lookedAt is when campaigns with stop rules were last looked at without a reason.
	lookedAt time.Time
}

const (
	// surveysAtOnce is how many contacts, or dialogues, one replica works on side by
	// side: enough for transactions to be shared.
	surveysAtOnce = 64
	// surveyClaim is how long a claim lasts: a transaction waits for the database for
	// some seconds at most.
	surveyClaim = 30 * time.Second
	// surveysRecheck bounds the wait for what is due next, so that a clock that was
	// set is noticed, and what other replicas left.
	surveysRecheck = 10 * time.Second
)

// openSurveys hangs surveys into the store.
func (s *Store) openSurveys() {
	s.surveys = &surveys{s: s, begun: map[string]bool{}, past: map[[2]string]*survey.Program{}}
	s.commit.surveys = s.surveys
	s.loops = append(s.loops, s.surveys.run)
}

// run decides, and lets time pass in dialogues and campaigns.
func (x *surveys) run(ctx context.Context) {
	for ctx.Err() == nil {
		changed := x.s.signals.next(topicSurveys)
		wait, err := x.work(ctx)
		if err != nil && ctx.Err() == nil {
			x.s.log.Warn("surveys have to wait; it is tried again", "err", err)
			wait = time.Second
		}
		pause(ctx, wait, changed)
	}
}

// work does what is due, and says how long nothing will be.
func (x *surveys) work(ctx context.Context) (time.Duration, error) {
	wait := surveysRecheck
	for _, step := range []func(context.Context) (time.Duration, error){x.lookAtCampaigns, x.decideDue, x.advanceDue} {
		until, err := step(ctx)
		if err != nil {
			return 0, err
		}
		wait = min(wait, until)
	}
	return max(wait, time.Millisecond), nil
}

// untilDue is how long it is until the first of a table's rows is due.
func (x *surveys) untilDue(ctx context.Context, query string) (time.Duration, error) {
	var due sql.NullInt64
	if _, err := one(ctx, x.s.read, []any{&due}, query); err != nil || !due.Valid {
		return surveysRecheck, err
	}
	return fromMS(due.Int64).Sub(x.s.now()), nil
}

// program of a run: the one in force, else the one that was last; nil where nothing
// is known of it any more.
func (x *surveys) program(ctx context.Context, q querier, run string) (*survey.Program, error) {
	if c := x.inForce(x.s.state.Load(), run); c != nil {
		return c.program, nil
	}
	var spec, hash string
	found, err := one(ctx, q, []any{&spec, &hash}, `SELECT spec, hash FROM survey_campaigns WHERE campaign = ?`, run)
	if err != nil || !found {
		return nil, err
	}
	key := [2]string{run, hash}
	x.mu.Lock()
	known := x.past[key]
	x.mu.Unlock()
	if known != nil {
		return known, nil
	}
	made, err := assumedProgram(nameOfRun(run), spec)
	if err != nil {
		x.s.log.Warn("what is answered to a campaign that is gone cannot be understood by this version", "campaign", run, "err", err)
		return nil, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.past[key] = made
	return made, nil
}

// begin notes that a run has asked somebody: what it declares is fixed from then on.
func (x *surveys) begin(t *txn, run string, c *campaignEntry) error {
	x.mu.Lock()
	begun := x.begun[run]
	x.mu.Unlock()
	if begun {
		return nil
	}
	declared, err := json.Marshal(c.program.Declared())
	if err != nil {
		return err
	}
	t.afterCommit(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.begun[run] = true
	})
	return t.later(`INSERT INTO survey_campaigns (campaign, spec, hash, started_at, analysis) VALUES (?, ?, ?, ?, ?) ON CONFLICT (campaign) DO UPDATE
		SET started_at = excluded.started_at, analysis = excluded.analysis WHERE survey_campaigns.started_at = 0`,
		run, c.spec, c.hash, ms(t.now), string(declared))
}

// endTriggers is for triggers that nothing can come of any more: they leave as
// Stopped.
func (t *txn) endTriggers(where string, args ...any) error {
	list, err := all(t.ctx, t, scanTrigger, `SELECT `+triggerColumns+` FROM survey_triggers WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return err
	}
	for i := range list {
		if err := t.decided(&list[i], survey.Decision{Exit: survey.Stopped}, nil); err != nil {
			return err
		}
	}
	return nil
}

// decided keeps a decision, and counts it.
func (t *txn) decided(r *triggerRow, d survey.Decision, f *survey.Facts) error {
	t.countExit(r.campaign, r, d)
	for range d.ExpressionErrors {
		t.count(r.campaign, countExpressionErrors, armOf(d), 1)
	}
	decision, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var facts []byte
	if f != nil {
		if facts, err = json.Marshal(f); err != nil {
			return err
		}
	}
	r.exit, r.arm, r.dueAt = d.Exit.String(), armOf(d), 0
	if d.Exit == survey.Deferred {
		r.dueAt = max(ms(d.Until), ms(t.now)+1)
		t.wake(topicSurveys)
	}
	return t.later(`UPDATE survey_triggers SET exit = ?, arm = ?, due_at = ?, claimed_until = 0, facts = ?, decision = ? WHERE id = ?`,
		r.exit, r.arm, r.dueAt, string(facts), string(decision), r.id)
}

// endSurveyWaits ends claims that were reckoned by a clock that was ahead, and
// makes events that happened later than now happen now.
func endSurveyWaits(t *txn) error {
	now, claim := ms(t.now), ms(t.now.Add(surveyClaim))
	for _, u := range []struct {
		query string
		args  []any
	}{
		{`UPDATE survey_triggers SET claimed_until = 0 WHERE due_at > 0 AND claimed_until > ?`, []any{claim}},
		{`UPDATE survey_triggers SET due_at = due_at - (at - ?), at = ? WHERE due_at > 0 AND at > ?`, []any{now, now, now}},
		{`UPDATE survey_dialogues SET claimed_until = 0 WHERE next_at > 0 AND claimed_until > ?`, []any{claim}},
	} {
		if _, err := t.exec(u.query, u.args...); err != nil {
			return err
		}
	}
	t.wake(topicSurveys)
	return nil
}
