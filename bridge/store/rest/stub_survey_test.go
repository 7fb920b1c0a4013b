package rest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

var surveyStart = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// surveyReport is a real report of an experiment, with n answers.
func surveyReport(t testing.TB, n int) survey.Report {
	t.Helper()
	texts := survey.Texts{"en": "?"}
	p, findings := survey.Compile("shop/nps", survey.Campaign{
		Type: survey.NetPromoter, Window: survey.Window{Start: surveyStart, End: surveyStart.AddDate(0, 2, 0)}, Channels: []string{"shop/messenger", "shop/email"},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.API}}, Languages: survey.Languages{Offered: []string{"en"}},
		Arms:      []survey.Arm{{Name: "with", Weight: 1, Channels: []string{"shop/messenger"}}, {Name: "without", Weight: 1, Channels: []string{"shop/email"}}},
		Questions: []survey.Question{{ID: "score", Kind: survey.ScoreQuestion, Text: texts}, {ID: "why", Kind: survey.TextQuestion, Text: texts}, {ID: "more", Kind: survey.TextQuestion, Text: texts}},
		Analysis:  survey.Analysis{Compare: survey.CompareArms},
	}, survey.Refs{Now: surveyStart, Channels: map[string]survey.Channel{"shop/messenger": {CanSend: true}, "shop/email": {CanSend: true}}})
	require.Empty(t, findings)
	rows := make([]survey.Row, n)
	for i := range rows {
		rows[i] = survey.Row{At: surveyStart.AddDate(0, 0, i%40), Score: i * 7 % 11, Arm: i % 2, Channel: []string{"shop/messenger", "shop/email"}[i%2], Language: "en", Asked: 3, Answered: 1, Late: i%10 == 9}
	}
	return survey.Aggregate(p, survey.Data{
		Now: surveyStart.AddDate(0, 3, 0), Rows: slices.Values(rows), Arms: []survey.ArmCounts{{Assigned: n, Asked: n, Answered: n / 2}, {Assigned: n, Asked: n, Answered: n / 2}},
		Funnel: survey.Funnel{Triggered: 3 * n, Exits: map[survey.Exit]int{survey.OptedOut: n}, Eligible: 2 * n, Assigned: 2 * n, Sampled: 2 * n, Asked: 2 * n, Delivered: 2 * n, Answered: n / 2},
	})
}

func (e *stub) Surveys(_ context.Context, s store.Scope) ([]store.Survey, error) {
	return e.surveys, e.seen(s)
}

func (e *stub) Survey(_ context.Context, s store.Scope, name string) (store.SurveyReport, error) {
	r := e.report
	r.Name = name
	return r, e.seen(s)
}

func (e *stub) SurveyResponses(_ context.Context, s store.Scope, _ string, personal bool, each func(store.SurveyResponse) error) error {
	e.personal = personal
	for _, r := range e.responses {
		if err := each(r); err != nil {
			return err
		}
	}
	return e.seen(s)
}

func (e *stub) TriggerSurvey(_ context.Context, s store.Scope, _ string, trigger store.SurveyTrigger) (store.SurveyTriggered, error) {
	e.trigger = trigger
	return store.SurveyTriggered{Exit: survey.Deferred, Because: survey.DeferDelay, Until: surveyStart,
		Assignment: store.SurveyAssignment{Contact: "c", Arm: "with", Sampled: true, Kept: true}}, e.seen(s)
}

func (e *stub) ContactEvent(_ context.Context, s store.Scope, _ string, _ survey.CancelEvent) error {
	return e.seen(s)
}

func (e *stub) SetConsent(_ context.Context, s store.Scope, _, _ string, _ survey.ConsentState) error {
	return e.seen(s)
}

func (e *stub) SurveyAssignment(_ context.Context, s store.Scope, _ string, whom store.SurveyWhom) (store.SurveyAssignment, error) {
	e.whom = whom
	return store.SurveyAssignment{Contact: "c", Arm: "with", Sampled: true, AskedAt: surveyStart}, e.seen(s)
}

func (e *stub) MergeContacts(_ context.Context, s store.Scope, into, from string) (store.Contact, error) {
	return store.Contact{ID: into, MergedIDs: []string{from}}, e.seen(s)
}

func (e *stub) EraseContact(_ context.Context, s store.Scope, _ string) error { return e.seen(s) }
