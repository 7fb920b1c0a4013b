package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

const (
	// summaryEvery is how often what the status says of a campaign may change while
	// it runs: every change is a write to the API server, for all who watch.
	summaryEvery = 10 * time.Minute
	// summaryLook is how often it is looked whether a campaign has begun, stopped or
	// ended, which is told at once.
	summaryLook = 3 * time.Second
)

// runSummaries keeps what the status says of campaigns up to date.
func (s *Store) runSummaries(ctx context.Context) {
	for ctx.Err() == nil {
		changed := s.signals.next(topicDocument)
		if err := s.renewSummaries(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("summaries of surveys could not be renewed; it is tried again", "err", err)
		}
		pause(ctx, summaryLook, changed)
	}
}

// renewSummaries makes the summaries that are due. Replicas may make the same one
// at the same time; the first that writes it has done so for all.
func (s *Store) renewSummaries(ctx context.Context) error {
	list, err := all(ctx, s.read, scanCampaign, selectCampaigns+`ORDER BY c.campaign`)
	if err != nil {
		return err
	}
	var errs []error
	for i := range list { // one that cannot be made keeps no other back
		if err := s.renewSummary(ctx, &list[i]); err != nil {
			errs = append(errs, fmt.Errorf("survey %s: %w", list[i].name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) renewSummary(ctx context.Context, c *campaignRow) error {
	if c.report != "" {
		return nil // final
	}
	p, err := s.surveyProgram(c)
	if err != nil {
		return err
	}
	var kept *survey.Summary
	if err := unmarshalSome(c.summary, &kept); err != nil {
		return err
	}
	now := s.now()
	if kept != nil && !c.turned(kept, p, now) {
		due := now.Sub(fromMS(c.updatedAt)).Abs() >= summaryEvery // also where the clock went back
		if !due {
			return nil
		}
		counts, err := readSurveyCounts(ctx, s.read, c.name)
		if err != nil || counts.digest() == c.counted && c.startedAt > 0 {
			return err
		}
	}
	made, err := s.makeReport(ctx, c)
	if err != nil {
		return err
	}
	summary := s.summarize(c, made)
	if summary.Forecast, err = s.forecast(ctx, c, p); err != nil {
		return err
	}
	return s.keepSummary(ctx, c, kept, summary, made)
}

// turned says that a campaign has begun, stopped, ended or the like, since its
// summary was made.
func (c *campaignRow) turned(kept *survey.Summary, p *survey.Program, now time.Time) bool {
	return kept.Reason != c.sampling(p, now) || kept.StopRule != c.stopRule || !kept.StartedAt.Equal(fromMS(c.startedAt)) || kept.Final != (c.ended > 0)
}

// summarize is the summary of a campaign with a report that was just made.
func (s *Store) summarize(c *campaignRow, made *madeReport) survey.Summary {
	summary := survey.Summarize(&made.report)
	summary.UID = uidOf(c.spec)
	summary.StartedAt, summary.StopRule = fromMS(c.startedAt), c.stopRule
	summary.Reason = c.sampling(made.program, made.at)
	summary.Sampling = summary.Reason == survey.SamplingRunning
	summary.Final = c.ended > 0 // and what was under way at the end is counted
	return summary
}

// keepSummary writes a summary, and with a final one the report as it stays. What
// says the same as before but for its time is the summary before: the status of a
// resource is silent while nothing happens.
func (s *Store) keepSummary(ctx context.Context, c *campaignRow, kept *survey.Summary, summary survey.Summary, made *madeReport) error {
	report := ""
	if summary.Final {
		text, err := json.Marshal(made.report)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		report = string(text)
		summary.EndedAt, summary.FrozenHash = fromMS(c.ended), hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(summary)
	if err != nil {
		return err
	}
	if kept != nil {
		summary.UpdatedAt = kept.UpdatedAt
		if same, err := json.Marshal(summary); err != nil || string(same) == c.summary {
			text = same
		}
	}
	return s.write(ctx, 1, func(t *txn) error {
		_, err := t.exec(`INSERT INTO survey_summaries (campaign, summary, report, counted, updated_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (campaign) DO UPDATE SET summary = excluded.summary, report = excluded.report, counted = excluded.counted, updated_at = excluded.updated_at
			WHERE survey_summaries.updated_at = ? AND survey_summaries.report = ''`, c.name, string(text), report, made.counted, ms(made.at), c.updatedAt)
		return err
	})
}

const (
	// forecastDays is the time before the start that a forecast looks at.
	forecastDays = 28
	// forecastRate is the share of answers that it reckons with. Vendors tell of
	// 15 to 25 % by email, and of more in the thread of a conversation.
	forecastRate = 0.2
)

// forecast reckons what a campaign will learn that has not asked anybody yet, from
// how many conversations were solved on its channels lately; where there were none,
// or another system triggers it, from what it plans for. nil once it has begun.
func (s *Store) forecast(ctx context.Context, c *campaignRow, p *survey.Program) (*survey.Forecast, error) {
	if c.startedAt > 0 || c.removedAt > 0 {
		return nil, nil
	}
	solved, err := s.solvedLately(ctx, p)
	if err != nil {
		return nil, err
	}
	begins := p.Campaign.Window.Start
	if now := s.now(); now.After(begins) {
		begins = now
	}
	days := p.Campaign.Window.End.Sub(begins).Hours() / 24
	// Of two digits: more would be pretence, and would change from day to day.
	f := p.Forecast(roughly(float64(solved)*max(days, 0)/forecastDays), forecastRate)
	if f.Responses == 0 {
		f = p.Plan(forecastRate)
	}
	return &f, nil
}

// solvedLately is how many conversations were solved on a campaign's channels; 0
// where that does not trigger it.
func (s *Store) solvedLately(ctx context.Context, p *survey.Program) (solved int64, err error) {
	spec := &p.Campaign
	if !slices.Contains(spec.Trigger.Events, survey.ConversationResolved) {
		return 0, nil
	}
	channels := slices.Clone(spec.Channels)
	for i := range spec.Arms {
		channels = append(channels, spec.Arms[i].Channels...)
	}
	slices.Sort(channels)
	channels = slices.Compact(channels)
	args := append(anys(channels), activityOf(ms(s.now().AddDate(0, 0, -forecastDays))))
	_, err = one(ctx, s.read, []any{&solved}, `SELECT COUNT(*) FROM conversations WHERE channel IN `+in(len(channels))+` AND state = 'solved' AND activity >= ?`, args...)
	return solved, err
}

// roughly is a number of two digits that count.
func roughly(n float64) int {
	if n < 1 {
		return 0
	}
	unit := math.Pow(10, max(0, math.Floor(math.Log10(n))-1))
	return int(math.Round(n/unit) * unit)
}

// SurveyStatuses are the campaigns in force, by their entries, with their
// summaries as they are kept. Where the database does not answer it is what it
// said last: Health tells of that.
func (s *Store) SurveyStatuses(ctx context.Context) []document.SurveyStatus {
	list, err := all(ctx, s.read, scanCampaign, selectCampaigns+`WHERE c.removed_at = 0 ORDER BY c.campaign`)
	if err != nil {
		if known := s.surveyed.Load(); known != nil {
			return *known
		}
		return nil
	}
	var statuses []document.SurveyStatus
	for i := range list {
		status := document.SurveyStatus{Entry: string(document.EntrySurveyCampaign) + "/" + nameOfRun(list[i].name), Hash: list[i].hash}
		if list[i].summary != "" {
			status.Summary = json.RawMessage(list[i].summary)
		}
		statuses = append(statuses, status)
	}
	s.surveyed.Store(&statuses)
	return statuses
}
