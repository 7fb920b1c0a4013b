package survey

import "time"

// SamplingReason is why a campaign asks, or does not; the same words are the
// reasons of the condition Sampling.
type SamplingReason string

// Reasons of Summary.Reason. Only with SamplingRunning anybody is asked.
const (
	SamplingRunning         SamplingReason = "Running"
	SamplingNotStarted      SamplingReason = "NotStarted" // the window has not begun
	SamplingOutsideWindow   SamplingReason = "OutsideWindow"
	SamplingSuspended       SamplingReason = "Suspended"
	SamplingStopRuleReached SamplingReason = "StopRuleReached" // which: Summary.StopRule
)

// Summary is what a store tells the operator of a campaign in force: enough for
// its status, nothing about fewer than five people's answers. It is kept in the
// database, so that all replicas say the same, and renewed at most every ten
// minutes, or at once when Reason, StartedAt or Final change.
type Summary struct {
	// UID of the resource that it is about (Campaign.UID): not of one that had the
	// name before.
	UID string `json:"uid,omitempty"`
	// StartedAt is when it first asked anybody; from then on its analysis is
	// fixed. Zero: not yet.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// EndedAt is when nothing more was counted and the result was frozen, with
	// FrozenHash over it; zero and empty before.
	EndedAt    time.Time `json:"endedAt,omitzero"`
	FrozenHash string    `json:"frozenHash,omitempty"`
	// Sampling is true while it asks, which is Reason Running.
	Sampling bool           `json:"sampling"`
	Reason   SamplingReason `json:"reason"`
	// StopRule that was reached, with Reason StopRuleReached.
	StopRule StopRule `json:"stopRule,omitempty"`
	// Throttled: cool-downs keep most of those that were drawn from being asked.
	Throttled bool `json:"throttled,omitempty"`
	// Forecast is what to expect, until StartedAt.
	Forecast *Forecast `json:"forecast,omitempty"`

	// What follows is of the Report of UpdatedAt.
	Result         Measure            `json:"result"`
	Counts         *Counts            `json:"counts,omitempty"`
	ResponseRate   *Rate              `json:"responseRate,omitempty"`
	Arms           []GroupResult      `json:"arms,omitempty"`
	Comparisons    []ComparisonResult `json:"comparisons,omitempty"`
	Funnel         Funnel             `json:"funnel"`
	SufficientData bool               `json:"sufficientData"`
	SampleRatio    *RatioCheck        `json:"sampleRatio,omitempty"`
	Final          bool               `json:"final,omitempty"`
	UpdatedAt      time.Time          `json:"updatedAt,omitzero"`
}

// Summarize takes what a summary has of a report.
// The facts about sampling, start and end are the caller's to add.
func Summarize(r *Report) Summary {
	return Summary{
		Throttled: r.Throttled,
		Result:    r.Result, Counts: r.Counts, ResponseRate: r.ResponseRate, Arms: r.Arms, Comparisons: r.Comparisons,
		Funnel: r.Funnel, SufficientData: r.SufficientData, SampleRatio: r.SampleRatio, Final: r.Final, UpdatedAt: r.UpdatedAt,
	}
}
