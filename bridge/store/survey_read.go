package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// What is read of surveys is made of three things: the counts, which are kept as
// things happen, the scores, which are gone through once, and the campaign.
//
//	survey_campaigns ─┐
//	survey_counts ────┼─► survey.Data ─► survey.Aggregate ─► report ─► REST, as of now
//	survey_responses ─┘                                        └────► summary, kept for the status
//
// A report that is final is kept, and told as it is from then on.

// campaignRow is a run of a campaign that is, or was, in force, with what is kept of it.
type campaignRow struct {
	name, spec, hash                       string // name of the run
	removedAt, startedAt, stoppedAt, ended int64
	stopRule                               survey.StopRule
	summary, report, counted               string
	updatedAt                              int64
	latest                                 bool // of its campaign's runs
}

const selectCampaigns = `SELECT c.campaign, c.spec, c.hash, c.removed_at, c.started_at, c.stopped_at, c.ended_at, c.stop_rule,
	COALESCE(s.summary, ''), COALESCE(s.report, ''), COALESCE(s.counted, ''), COALESCE(s.updated_at, 0)
	FROM survey_campaigns c LEFT JOIN survey_summaries s ON s.campaign = c.campaign `

func scanCampaign(rows *sql.Rows) (c campaignRow, err error) {
	return c, rows.Scan(&c.name, &c.spec, &c.hash, &c.removedAt, &c.startedAt, &c.stoppedAt, &c.ended, &c.stopRule, &c.summary, &c.report, &c.counted, &c.updatedAt)
}

func (c *campaignRow) api() (Survey, error) {
	name, number := splitRun(c.name)
	if !c.latest {
		name += runMark + strconv.Itoa(number)
	}
	out := Survey{Name: name, InForce: c.removedAt == 0, Hash: c.hash}
	if !out.InForce {
		out.Hash = ""
	}
	return out, unmarshalSome(c.summary, &out.Summary)
}

// surveyProgram is a campaign's program: the one in force, or else as it was last.
func (s *Store) surveyProgram(c *campaignRow) (*survey.Program, error) {
	if e := s.surveys.inForce(s.state.Load(), c.name); e != nil {
		return e.program, nil
	}
	return assumedProgram(nameOfRun(c.name), c.spec)
}

// campaigns reads runs of campaigns, in order of their names: all, or those of one
// campaign. The latest of each is marked.
func (s *Store) campaigns(ctx context.Context, name string) ([]campaignRow, error) {
	where, args := ``, []any(nil)
	if name != "" {
		of := name + runMark
		where, args = `WHERE c.campaign = ? OR SUBSTR(c.campaign, 1, ?) = ? `, []any{name, utf8.RuneCountInString(of), of}
	}
	list, err := all(ctx, s.read, scanCampaign, selectCampaigns+where+`ORDER BY c.campaign`, args...)
	last := map[string]*campaignRow{}
	for i := range list {
		c := &list[i]
		name, number := splitRun(c.name)
		if before := last[name]; before != nil {
			if _, n := splitRun(before.name); n > number {
				continue
			}
			before.latest = false
		}
		c.latest, last[name] = true, c
	}
	return list, err
}

// Surveys lists the campaigns in scope.
func (s *Store) Surveys(ctx context.Context, scope Scope) ([]Survey, error) {
	list, err := s.campaigns(ctx, "")
	if err != nil {
		return nil, err
	}
	var surveys []Survey
	for i := range list {
		if c := &list[i]; !scope.Allows(namespaceOf(c.name)) || c.removedAt > 0 && c.startedAt == 0 {
			continue
		}
		one, err := list[i].api()
		if err != nil {
			return nil, err
		}
		surveys = append(surveys, one)
	}
	return surveys, nil
}

// Survey returns a campaign with its report as of now.
func (s *Store) Survey(ctx context.Context, scope Scope, name string) (SurveyReport, error) {
	c, err := s.campaign(ctx, scope, name)
	if err != nil {
		return SurveyReport{}, err
	}
	out := SurveyReport{}
	if out.Survey, err = c.api(); err != nil {
		return out, err
	}
	if c.report != "" {
		return out, json.Unmarshal([]byte(c.report), &out.Report)
	}
	made, err := s.reports.of(ctx, s, c)
	if err != nil {
		return out, err
	}
	out.Report = made.report
	// The state of this moment, which the summary that is kept may not know yet.
	summary := s.summarize(c, made)
	if kept := out.Summary; kept != nil {
		summary.Forecast = kept.Forecast
	}
	out.Summary = &summary
	return out, nil
}

// campaign reads one campaign, if it is in scope: its latest run, or the one that the
// name says.
func (s *Store) campaign(ctx context.Context, scope Scope, name string) (*campaignRow, error) {
	if !scope.Allows(namespaceOf(name)) {
		return nil, fmt.Errorf("survey %s: %w", name, ErrNotFound)
	}
	list, err := s.campaigns(ctx, nameOfRun(name))
	if err != nil {
		return nil, err
	}
	_, number := splitRun(name)
	for i := range list {
		c := &list[i]
		if _, n := splitRun(c.name); c.latest && !strings.Contains(name, runMark) || n == number && strings.Contains(name, runMark) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("survey %s: %w", name, ErrNotFound)
}

// sampling says whether a campaign asks at a time, and why not. A window that is
// over comes first: nothing makes it ask again.
func (c *campaignRow) sampling(p *survey.Program, now time.Time) survey.SamplingReason {
	switch {
	case !now.Before(p.Campaign.Window.End):
		return survey.SamplingOutsideWindow
	case c.stoppedAt > 0:
		return survey.SamplingStopRuleReached
	case p.Campaign.Suspended || c.removedAt > 0:
		return survey.SamplingSuspended
	case now.Before(p.Campaign.Window.Start):
		return survey.SamplingNotStarted
	}
	return survey.SamplingRunning
}
