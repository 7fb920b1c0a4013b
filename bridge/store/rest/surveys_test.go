package rest

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// surveyed is an engine with a campaign of n answers.
func surveyed(t testing.TB, n int) *stub {
	e := newStub()
	e.report.InForce, e.report.Report = true, surveyReport(t, n)
	summary := survey.Summarize(&e.report.Report)
	summary.StartedAt, summary.Sampling, summary.Reason, summary.Forecast = surveyStart, true, survey.SamplingRunning, &survey.Forecast{Invitations: 10, HalfWidth: 4.5}
	e.report.Summary = &summary
	e.surveys = []store.Survey{{Name: "shop/csat", InForce: true}, e.report.Survey}
	return e
}

// What a client gets is the report, as package survey writes it: read again it is
// the same, also where there is no data.
func TestSurveyIsItsReport(t *testing.T) {
	for name, n := range map[string]int{"nobody": 0, "too few": 4, "some": 30, "many": 500} {
		t.Run(name, func(t *testing.T) {
			e := surveyed(t, n)
			api, _ := newAPI(t, e, Options{})
			w := ask(t, api, "reader", "GET", "/v1/surveys/shop/nps", "")
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			var got struct {
				Name   string
				State  json.RawMessage
				Report json.RawMessage
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
			assert.Equal(t, "shop/nps", got.Name)
			want, err := json.Marshal(e.report.Report)
			require.NoError(t, err)
			assert.JSONEq(t, string(want), string(got.Report))
			var back survey.Report
			require.NoError(t, json.Unmarshal(got.Report, &back))
			assert.Equal(t, n == 0, back.Result.N == 0 && !back.Result.Hidden)
			assert.Equal(t, n < 5, math.IsNaN(back.Result.Value))
			assert.JSONEq(t, `{"startedAt":"2026-10-01T00:00:00Z","sampling":true,"reason":"Running","forecast":{"invitations":10,"responses":0,"halfWidth":4.5},"updatedAt":"2027-01-01T00:00:00Z"}`, string(got.State))
		})
	}
}

func TestSurveysAreListed(t *testing.T) {
	api, _ := newAPI(t, surveyed(t, 4), Options{})
	w := ask(t, api, "reader", "GET", "/v1/surveys", "")
	var got struct{ Items []map[string]any }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got.Items, 2)
	assert.NotContains(t, got.Items[0], "result", "not known yet")
	assert.Contains(t, got.Items[1]["result"], "n")
	assert.Nil(t, got.Items[1]["result"].(map[string]any)["n"], "hidden")
	api, _ = newAPI(t, newStub(), Options{})
	assert.JSONEq(t, `{"items":[]}`, ask(t, api, "reader", "GET", "/v1/surveys", "").Body.String())
}

func TestSurveyPage(t *testing.T) {
	api, _ := newAPI(t, surveyed(t, 100), Options{})
	w := ask(t, api, "reader", "GET", "/v1/surveys/shop/nps/report.html", "")
	assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'", "a page on the API's origin runs nothing")
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "sandbox")
	assert.Contains(t, w.Body.String(), "<h1>shop/nps</h1>")
}

var answered = time.Date(2026, 10, 5, 13, 14, 15, 0, time.UTC)

func responseOf(comment string, answers ...survey.Answer) store.SurveyResponse {
	return store.SurveyResponse{ID: "01J", AskedAt: answered.Add(-time.Hour), AnsweredAt: answered, Score: 9, Completed: true, Arm: "with", Channel: "shop/messenger", Language: "en",
		Contact: "c1", Conversation: "v1", Comment: comment, Answers: answers}
}

func TestResponsesWithoutPersonalData(t *testing.T) {
	e := surveyed(t, 10)
	e.responses = []store.SurveyResponse{responseOf("I am Ana, call 555"), {Score: 0, Late: true, Arm: "without"}}
	api, _ := newAPI(t, e, Options{})
	w := ask(t, api, "admin", "GET", "/v1/surveys/shop/nps/responses.csv", "")
	assert.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	assert.Equal(t, `attachment; filename="nps-responses.csv"`, w.Header().Get("Content-Disposition"))
	assert.False(t, e.personal, "an admin has to ask, too")
	assert.Equal(t, "answeredOn,score,late,completed,arm,channel,language\r\n2026-10-05,9,false,true,with,shop/messenger,en\r\n,0,true,false,without,,\r\n", w.Body.String())
}

func TestResponsesWithPersonalData(t *testing.T) {
	e := surveyed(t, 10)
	e.responses = []store.SurveyResponse{
		responseOf("=HYPERLINK(\"http://evil\")", survey.Answer{Question: "more", Text: "-2+3\nand \"so\" on"}, survey.Answer{Question: "gone", Text: "of a version before"}),
		responseOf("plain, with a comma", survey.Answer{Question: "why", Text: "  @SUM(1)"}),
	}
	api, _ := newAPI(t, e, Options{})
	w := ask(t, api, "admin", "GET", "/v1/surveys/shop/nps/responses.csv?personal=true", "")
	assert.True(t, e.personal)
	lines, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, [][]string{
		{"response", "asked", "answered", "score", "late", "completed", "arm", "channel", "language", "contact", "conversation", "comment", "answer:why", "answer:more"},
		{"01J", "2026-10-05T12:14:15Z", "2026-10-05T13:14:15Z", "9", "false", "true", "with", "shop/messenger", "en", "c1", "v1", "'=HYPERLINK(\"http://evil\")", "", "'-2+3\nand \"so\" on"},
		{"01J", "2026-10-05T12:14:15Z", "2026-10-05T13:14:15Z", "9", "false", "true", "with", "shop/messenger", "en", "c1", "v1", "plain, with a comma", "'  @SUM(1)", ""},
	}, lines)
}

// An admin reads the answers from the first on, also while a report of so few is
// not shown.
func TestPersonalResponsesHaveTheirAnswersFromTheFirstOn(t *testing.T) {
	for _, n := range []int{0, 3} {
		e := surveyed(t, n)
		require.True(t, e.report.Report.Result.NoData())
		e.responses = []store.SurveyResponse{responseOf("hm", survey.Answer{Question: "why", Text: "too slow"})}
		api, _ := newAPI(t, e, Options{})
		w := ask(t, api, "admin", "GET", "/v1/surveys/shop/nps/responses.csv?personal=true", "")
		lines, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
		require.NoError(t, err)
		require.Len(t, lines, 2)
		assert.Equal(t, []string{"comment", "answer:why", "answer:more"}, lines[0][11:])
		assert.Equal(t, []string{"hm", "too slow", ""}, lines[1][11:])
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", " =1", "\n=1", "\u00a0=1", "＝1", "＋1", "－1", "＠A"} {
		assert.Equal(t, "'"+text, plain(text), "%q", text)
	}
	for _, text := range []string{"", "a=b", "1-2", "Danke :-)", "très bien", "很好", "   ", "\xff=1"} {
		assert.Equal(t, text, plain(text), "%q", text)
	}
}

// A list that breaks off must not look like all of it.
func TestResponsesThatBreakOff(t *testing.T) {
	e := surveyed(t, 10)
	for range 100 {
		e.responses = append(e.responses, responseOf(""))
	}
	api, log := newAPI(t, &breaking{stub: e}, Options{})
	server := httptest.NewServer(api)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/surveys/shop/nps/responses.csv", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer reader")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err == nil {
		defer answer.Body.Close()
		_, err = csv.NewReader(answer.Body).ReadAll()
	}
	require.Error(t, err)
	assert.Contains(t, log.String(), "broken off")
}

// breaking fails after the last response.
type breaking struct{ *stub }

func (e *breaking) SurveyResponses(ctx context.Context, s store.Scope, name string, personal bool, each func(store.SurveyResponse) error) error {
	if err := e.stub.SurveyResponses(ctx, s, name, personal, each); err != nil {
		return err
	}
	return errors.New("the connection to the database is gone")
}

func TestTriggerSaysWhatWasDecided(t *testing.T) {
	e := surveyed(t, 10)
	api, _ := newAPI(t, e, Options{})
	w := ask(t, api, "writer", "POST", "/v1/surveys/shop/nps:trigger", `{"conversation":"v1","occurredAt":"2026-10-05T00:00:00Z"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.JSONEq(t, `{"decision":"Deferred","because":"Delay","until":"2026-10-01T00:00:00Z",
		"assignment":{"contact":"c","arm":"with","heldOut":false,"sampled":true,"kept":true}}`, w.Body.String())
	assert.Equal(t, store.SurveyTrigger{Conversation: "v1", Event: survey.API, OccurredAt: time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)}, e.trigger)
	assert.Equal(t, "k", e.scope.Write.Key)
}

func TestAnAssignmentIsAskedForWithTheAddressInTheBody(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	w := ask(t, api, "reader", "POST", "/v1/surveys/shop/nps:assignment", `{"channel":"shop/messenger","externalId":"1254"}`)
	require.JSONEq(t, `{"contact":"c","arm":"with","heldOut":false,"sampled":true,"kept":false,"askedAt":"2026-10-01T00:00:00Z"}`, w.Body.String())
	require.Equal(t, store.SurveyWhom{Channel: "shop/messenger", ExternalID: "1254"}, engine.whom)
}

func TestAMergeAnswersWithTheContactThatStays(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	w := ask(t, api, "writer", "POST", "/v1/contacts/c:merge", `{"from":"d"}`)
	require.Contains(t, w.Body.String(), `"id":"c"`)
	require.Contains(t, w.Body.String(), `"mergedIds":["d"]`)
}
