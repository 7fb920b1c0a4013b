package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Runs. A campaign's resource may be deleted, and its name applied again: that is
// another campaign, with a funnel, a result and a start of its own. What is kept of
// campaigns goes by runs; the ledger goes by names, so that nobody is asked too soon
// by the next run:
//
//	shop/nps    applied ── changed ── deleted              "shop/nps"    the first run
//	shop/nps                                  ── applied    "shop/nps@2"  the second
//
//	survey_campaigns, _triggers, _dialogues, _responses, _counts, _summaries   by run
//	survey_ledger   draws by run; when a contact was asked by name, and by group
//
// The first run has the campaign's name, which no later one can have: "@" is in no
// resource's name. Who reads asks for a name and gets its latest run; those before
// it are there as "shop/nps@1" and so on.

// runMark divides a campaign's name from the number of its run.
const runMark = "@"

// splitRun is the campaign of a run, and which one it is.
func splitRun(run string) (name string, number int) {
	name, text, marked := strings.Cut(run, runMark)
	if number, err := strconv.Atoi(text); marked && err == nil && number > 0 {
		return name, number
	}
	return run, 1
}

// nameOfRun is the campaign of a run.
func nameOfRun(run string) string {
	name, _ := splitRun(run)
	return name
}

// runKey is what a campaign's run is kept by.
func runKey(name string, number int) string {
	if number <= 1 {
		return name
	}
	return name + runMark + strconv.Itoa(number)
}

// runOf is the run of a campaign in force.
func (x *surveys) runOf(name string) string {
	if runs := x.runs.Load(); runs != nil {
		if run, ok := (*runs)[name]; ok {
			return run
		}
	}
	return name
}

// inForce is the entry of a run, if it is the one in force.
func (x *surveys) inForce(st *state, run string) *campaignEntry {
	name := nameOfRun(run)
	if x.runOf(name) != run {
		return nil
	}
	return st.surveys.byName[name]
}

// runRow is the latest run of a campaign.
type runRow struct {
	key, hash, spec, stop         string
	number                        int
	removedAt, stoppedAt, endedAt int64
}

// latestRuns are the latest runs of all campaigns that were ever in force, by name.
func latestRuns(ctx context.Context, q querier) (map[string]*runRow, error) {
	list, err := all(ctx, q, func(rows *sql.Rows) (r runRow, err error) {
		err = rows.Scan(&r.key, &r.hash, &r.spec, &r.stop, &r.removedAt, &r.stoppedAt, &r.endedAt)
		_, r.number = splitRun(r.key)
		return r, err
	}, `SELECT campaign, hash, spec, stop, removed_at, stopped_at, ended_at FROM survey_campaigns`)
	latest := map[string]*runRow{}
	for i := range list {
		r := &list[i]
		if name := nameOfRun(r.key); latest[name] == nil || latest[name].number < r.number {
			latest[name] = r
		}
	}
	return latest, err
}

// uidOf is the UID of the resource that a campaign's spec is of.
func uidOf(spec string) string {
	var c struct {
		UID string `json:"uid"`
	}
	_ = json.Unmarshal([]byte(spec), &c) // what cannot be read has none
	return c.UID
}

// sameResource says that a run, which may be removed, is of the resource with a UID.
// A resource that is not in the document for a while (its channel is gone) goes on
// where it was. Where there are no UIDs, a name that was gone is another resource.
func sameResource(runSpec string, removed bool, uid string) bool {
	known := uidOf(runSpec)
	if known == "" || uid == "" {
		return !removed
	}
	return known == uid
}

// syncSurveys brings the campaigns' runs in line with a document. What waits of a
// campaign that is gone is done with; its open questions are not.
func (s *Store) syncSurveys(t *txn, st *state) error {
	latest, err := latestRuns(t.ctx, t)
	if err != nil {
		return err
	}
	if len(st.surveys.byName) > 0 {
		if err := drawSalt(t); err != nil {
			return err
		}
	}
	runs := make(map[string]string, len(latest))
	for name, r := range latest {
		runs[name] = r.key
		c := st.surveys.byName[name]
		gone := !st.surveys.named[name] || c != nil && !sameResource(r.spec, r.removedAt > 0, c.program.Campaign.UID)
		if gone && r.removedAt == 0 {
			if err := t.removeRun(r.key); err != nil {
				return err
			}
		}
		if gone && c != nil {
			runs[name] = runKey(name, r.number+1)
		}
	}
	for name, c := range st.surveys.byName {
		if err := t.syncRun(name, runs, latest[name], c); err != nil {
			return err
		}
	}
	t.afterCommit(func() { s.surveys.runs.Store(&runs) })
	t.wake(topicSurveys)
	return nil
}

// syncRun puts a campaign into force: a run that goes on, or a new one.
func (t *txn) syncRun(name string, runs map[string]string, r *runRow, c *campaignEntry) error {
	if runs[name] == "" {
		runs[name] = name
	}
	switch {
	case r == nil, r.key != runs[name]:
		return t.later(`INSERT INTO survey_campaigns (campaign, spec, hash) VALUES (?, ?, ?) ON CONFLICT (campaign) DO UPDATE
			SET spec = excluded.spec, hash = excluded.hash, removed_at = 0`, runs[name], c.spec, c.hash)
	case r.hash == c.hash && r.removedAt == 0:
		return nil
	}
	if err := t.later(`UPDATE survey_campaigns SET spec = ?, hash = ?, removed_at = 0 WHERE campaign = ?`, c.spec, c.hash, r.key); err != nil {
		return err
	}
	return t.takeUp(r, c.program)
}

// takeUp lets a run that has stopped or ended go on, if that is what another spec
// means: its window ends later, or its stop rules are others and not reached. Its
// result is not final any more.
func (t *txn) takeUp(r *runRow, p *survey.Program) error {
	if r.stoppedAt == 0 && r.endedAt == 0 || p.Closed(t.now) {
		return nil
	}
	stop, err := json.Marshal(p.Campaign.Stop)
	if err != nil {
		return err
	}
	if r.stoppedAt > 0 && r.stop == string(stop) {
		return nil
	}
	if r.stoppedAt > 0 {
		counts, err := readSurveyCounts(t.ctx, t, r.key)
		if err != nil {
			return err
		}
		if rule := p.Stops(counts.totals(p)); rule != survey.StopNone {
			return t.later(`UPDATE survey_campaigns SET stop_rule = ?, stop = ? WHERE campaign = ?`, string(rule), string(stop), r.key)
		}
	}
	if err := t.later(`UPDATE survey_campaigns SET stopped_at = 0, stop_rule = '', stop = '', ended_at = 0 WHERE campaign = ?`, r.key); err != nil {
		return err
	}
	return t.later(`UPDATE survey_summaries SET report = '' WHERE campaign = ?`, r.key)
}

// removeRun is for a run whose resource is gone.
func (t *txn) removeRun(run string) error {
	if err := t.later(`UPDATE survey_campaigns SET removed_at = ? WHERE campaign = ?`, ms(t.now), run); err != nil {
		return err
	}
	return t.endTriggers(`due_at > 0 AND campaign = ?`, run)
}
