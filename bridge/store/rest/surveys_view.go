package rest

import (
	"encoding/json"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// The types of this file are package survey's, as JSON has them: it writes what
// is not known as null, which the description has to say. A test keeps them in
// step.

// Survey is a campaign with what its status says.
type Survey struct {
	Name    string       `json:"name" doc:"namespace/name"`
	InForce bool         `json:"inForce" doc:"false: the SurveyCampaign is gone; what was answered is not."`
	State   *SurveyState `json:"state,omitempty" doc:"Absent: not known yet."`
	Result  *Measure     `json:"result,omitempty" doc:"At most ten minutes old."`
}

// SurveyWithReport is a campaign with its report as of now.
type SurveyWithReport struct {
	Survey
	Report SurveyReport `json:"report"`
}

// SurveyState is whether a campaign asks.
type SurveyState struct {
	StartedAt  *time.Time      `json:"startedAt,omitempty" doc:"When it first asked anybody: its analysis is fixed from then on."`
	EndedAt    *time.Time      `json:"endedAt,omitempty" doc:"When the result was frozen."`
	FrozenHash string          `json:"frozenHash,omitempty" doc:"Of the frozen result."`
	Sampling   bool            `json:"sampling" doc:"It asks."`
	Reason     string          `json:"reason" enum:"Running,NotStarted,OutsideWindow,Suspended,StopRuleReached"`
	StopRule   string          `json:"stopRule,omitempty" enum:"MaxResponses,Precision,ResponseRate" doc:"That was reached."`
	Throttled  bool            `json:"throttled,omitempty" doc:"Cool-downs keep most of those that were drawn from being asked: campaigns compete for the same people."`
	Forecast   *SurveyForecast `json:"forecast,omitempty" doc:"Before the start."`
	UpdatedAt  *time.Time      `json:"updatedAt,omitempty"`
}

// SurveyForecast is what a campaign can be expected to learn.
type SurveyForecast struct {
	Invitations int     `json:"invitations"`
	Responses   int     `json:"responses"`
	Planned     bool    `json:"planned,omitempty" doc:"How many contacts there will be is not known: these are the answers that the campaign plans for (stop.maxResponses, or analysis.minPerGroup in each group), with what they would tell."`
	HalfWidth   float64 `json:"halfWidth" doc:"Of the interval to expect, in points."`
	Detectable  float64 `json:"detectable,omitempty" doc:"The smallest true difference between two groups of equal size that would be found four times in five."`
}

// SurveyReport is what a campaign found out. Nothing in it is about fewer than five people.
type SurveyReport struct {
	Campaign       string             `json:"campaign" doc:"namespace/name"`
	Type           string             `json:"type" enum:"NPS,CSAT,CES"`
	Scale          SurveyScale        `json:"scale"`
	TopBoxFrom     int                `json:"topBoxFrom,omitempty" doc:"CSAT: the lowest score that counts as satisfied."`
	Confidence     float64            `json:"confidence" doc:"Of all intervals, 0.95 for 95 %."`
	Window         SurveyWindow       `json:"window"`
	UpdatedAt      time.Time          `json:"updatedAt"`
	Final          bool               `json:"final" doc:"Nothing more is counted."`
	Result         Measure            `json:"result"`
	Counts         *SurveyCounts      `json:"counts,omitempty" doc:"NPS; absent where one of the three is under five."`
	ResponseRate   *SurveyRate        `json:"responseRate,omitempty" doc:"Absent before anybody was asked, and where it would tell of fewer than five."`
	MayRepeat      bool               `json:"mayRepeat,omitempty" doc:"A contact may have answered more than once (trigger.oncePer, frequency.campaignCooldown): intervals take answers for independent, so they are too narrow then."`
	Late           SurveyCell         `json:"late" doc:"Scores that came too late to count."`
	Distribution   []SurveyCell       `json:"distribution" doc:"By score."`
	Series         []SurveyPoint      `json:"series,omitempty" nullable:"false" doc:"Over time; each point of at least five answers."`
	Arms           []SurveyGroup      `json:"arms,omitempty" nullable:"false"`
	Channels       []SurveyGroup      `json:"channels,omitempty" nullable:"false"`
	Languages      []SurveyGroup      `json:"languages,omitempty" nullable:"false"`
	Comparisons    []SurveyComparison `json:"comparisons,omitempty" nullable:"false"`
	SufficientData bool               `json:"sufficientData" doc:"Each compared group (without a comparison: all together) has as many answers as the analysis declares; of before and after, each arm has them before and after."`
	Throttled      bool               `json:"throttled,omitempty" doc:"Cool-downs keep most of those that were drawn from being asked: campaigns compete for the same people."`
	SampleRatio    *SurveyRatioCheck  `json:"sampleRatio,omitempty"`
	Funnel         SurveyFunnel       `json:"funnel"`
	Questions      []SurveyQuestion   `json:"questions,omitempty" nullable:"false" doc:"Drop-off by question."`
}

// SurveyScale is what scores are possible.
type SurveyScale struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// SurveyWindow is when a campaign asks: start ≤ t < end.
type SurveyWindow struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Measure is a campaign's number of a group of answers.
type Measure struct {
	N      *int     `json:"n" doc:"null: fewer than five, nothing is told."`
	Value  *float64 `json:"value" doc:"NPS in points, satisfied in percent, mean effort; null: no data, which is not 0."`
	Low    *float64 `json:"low" doc:"Of the interval."`
	High   *float64 `json:"high"`
	Method string   `json:"method" enum:"AdjustedWald3,Wilson,StudentT" doc:"How the interval was made."`
}

// SurveyCounts are the three groups of an NPS.
type SurveyCounts struct {
	Promoters  int `json:"promoters"`
	Passives   int `json:"passives"`
	Detractors int `json:"detractors"`
}

// SurveyInterval is an interval of a share, 0 to 1.
type SurveyInterval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// SurveyRate is a share with its interval, 0 to 1.
type SurveyRate struct {
	Happened int            `json:"happened"`
	N        int            `json:"n"`
	Value    float64        `json:"value"`
	Interval SurveyInterval `json:"interval"`
}

// SurveyCell is one count.
type SurveyCell struct {
	Name   string `json:"name"`
	N      int    `json:"n"`
	Hidden bool   `json:"hidden,omitempty" doc:"Fewer than five, or what would tell of fewer than five; n is 0 then."`
}

// SurveyPoint is the measure of a stretch of time, from ≤ t < to.
type SurveyPoint struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Measure Measure   `json:"measure"`
}

// SurveyGroup is the measure of an arm, a channel or a language.
type SurveyGroup struct {
	Name         string      `json:"name"`
	Measure      Measure     `json:"measure"`
	Assigned     int         `json:"assigned,omitempty" doc:"Of an arm: how many were drawn for it, whether they could be asked or not. Absent where it would tell of fewer than five."`
	ResponseRate *SurveyRate `json:"responseRate,omitempty" doc:"Of an arm."`
}

// SurveyComparison compares two groups, first minus second.
type SurveyComparison struct {
	Compare   string           `json:"compare" enum:"Arms,Holdout,BeforeAfter,DifferenceInDifferences"`
	Metric    string           `json:"metric" enum:"Score,RepeatContact30d,OptOut"`
	First     string           `json:"first"`
	Second    string           `json:"second"`
	Values    SurveyDifference `json:"values"`
	AdjustedP *float64         `json:"adjustedP" doc:"By Holm, where several comparisons were declared; the verdict goes by it. Null, as p and z are, before the end."`
	Verdict   string           `json:"verdict" enum:"Pending,Higher,Lower,Inconclusive,Withheld" doc:"Given once, at the end."`
	Caveats   []string         `json:"caveats,omitempty" nullable:"false" enum:"Observational,SelectionRisk,ReachDiffers,TooFew,SampleRatioMismatch,AssumesParallelTrends"`
}

// SurveyDifference is a difference in points; null: no data, or too few people to tell of.
type SurveyDifference struct {
	Difference *float64 `json:"difference" doc:"Centre of the interval."`
	Observed   *float64 `json:"observed" doc:"Of the scores as shown."`
	Low        *float64 `json:"low"`
	High       *float64 `json:"high"`
	Z          *float64 `json:"z"`
	P          *float64 `json:"p" doc:"Two-sided."`
	N1         int      `json:"n1"`
	N2         int      `json:"n2"`
}

// SurveyRatioCheck is the sample-ratio check.
type SurveyRatioCheck struct {
	Chi2 float64 `json:"chi2"`
	P    float64 `json:"p"`
	OK   bool    `json:"ok" doc:"false: arms and holdout do not have the sizes they were drawn with, so something is broken and no verdict is given."`
}

// SurveyQuestion is how many of those who were asked a question answered it.
type SurveyQuestion struct {
	ID       string     `json:"id"`
	Asked    SurveyCell `json:"asked"`
	Answered SurveyCell `json:"answered"`
}

// SurveyFunnel counts what became of triggers: every count of a stage is the sum
// of what left it there and what went on, as far as nothing of it is hidden.
type SurveyFunnel struct {
	Triggered int            `json:"triggered"`
	Exits     map[string]int `json:"exits,omitempty" doc:"Why nobody was asked, and how often."`
	Eligible  int            `json:"eligible" doc:"Passed window, audience and consent."`
	HeldOut   int            `json:"heldOut"`
	Assigned  int            `json:"assigned" doc:"Eligible and not held out."`
	Sampled   int            `json:"sampled"`
	Throttled int            `json:"throttled" doc:"By cool-downs and priorities."`
	Pending   int            `json:"pending" doc:"They wait: for their delay, quiet times, a cool-down, another survey."`
	Asked     int            `json:"asked"`
	Delivered int            `json:"delivered"`
	Failed    int            `json:"failed"`
	Answered  int            `json:"answered" doc:"With a score, in time."`
	Completed int            `json:"completed" doc:"All questions that applied."`
	Late      int            `json:"late"`
	OptedOut  int            `json:"optedOut"`
	Cancelled int            `json:"cancelled"`
	Expired   int            `json:"expired"`
	Clarified int            `json:"clarified"`
	Unparsed  int            `json:"unparsed" doc:"Wrote something that was no score: it went where it would have gone without a survey."`
	Hidden    []string       `json:"hidden,omitempty" nullable:"false" doc:"Counts of fewer than five, or from which such a one would follow: stages by their names here (they are 0 above), exits by theirs (they are not in exits)."`
}

// asJSON is a value of package survey as a type of this file, by the JSON that
// they share. It is small, and asked for by people.
func asJSON[T any](v any) (out T, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(text, &out)
}

func viewSurvey(s store.Survey) (Survey, error) {
	out := Survey{Name: s.Name, InForce: s.InForce}
	if s.Summary == nil {
		return out, nil
	}
	result, err := asJSON[Measure](s.Summary.Result)
	if err != nil {
		return out, err
	}
	state, err := viewSurveyState(s.Summary)
	out.State, out.Result = &state, &result
	return out, err
}

// viewSurveyState takes the fields of a summary that have the same names.
func viewSurveyState(s *survey.Summary) (SurveyState, error) { return asJSON[SurveyState](s) }

func viewSurveyReport(s store.SurveyReport) (SurveyWithReport, error) {
	campaign, err := viewSurvey(s.Survey)
	if err != nil {
		return SurveyWithReport{}, err
	}
	report, err := asJSON[SurveyReport](s.Report)
	return SurveyWithReport{Survey: campaign, Report: report}, err
}
