package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// surveyRun runs "survey report" and returns what it prints.
func surveyRun(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(append([]string{"survey", "report"}, args...))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// savedReport is the report of a campaign with n answers.
func savedReport(t *testing.T, n int) survey.Report {
	t.Helper()
	start := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	p, findings := survey.Compile("cx/nps-q4", survey.Campaign{
		Type: survey.NetPromoter, Window: survey.Window{Start: start, End: start.AddDate(0, 2, 0)}, Channels: []string{"cx/messenger"},
		Trigger: survey.Trigger{Events: []survey.TriggerEvent{survey.API}}, Languages: survey.Languages{Offered: []string{"en"}},
		Questions: []survey.Question{{ID: "score", Kind: survey.ScoreQuestion, Text: survey.Texts{"en": "?"}}},
	}, survey.Refs{Now: start, Channels: map[string]survey.Channel{"cx/messenger": {CanSend: true}}})
	require.Empty(t, findings)
	rows := make([]survey.Row, n)
	for i := range rows {
		rows[i] = survey.Row{At: start.AddDate(0, 0, i%50), Score: 6 + i%5, Channel: "cx/messenger", Language: "en"}
	}
	return survey.Aggregate(p, survey.Data{Now: start.AddDate(0, 1, 0), Rows: slices.Values(rows)})
}

// storeWith is a store's REST API that has one campaign.
func storeWith(t *testing.T, r survey.Report) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Header.Get("Authorization") == "Bearer other":
			w.WriteHeader(http.StatusForbidden)
		case q.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case q.URL.Path == "/v1/surveys/cx/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"detail":"nothing was changed; try again"}`)
		case q.URL.Path != "/v1/surveys/cx/nps-q4":
			w.WriteHeader(http.StatusNotFound)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"name": "cx/nps-q4", "inForce": true, "report": r}) // the caller has gone
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A page made of what a store answers, and one of what was saved, are the same.
func TestSurveyReportOnlineAndOffline(t *testing.T) {
	url, dir := storeWith(t, savedReport(t, 100)), t.TempDir()
	saved, page := filepath.Join(dir, "nps.json"), filepath.Join(dir, "nps.html")
	online, err := surveyRun(t, "secret\n", "cx/nps-q4", "--store", url+"/", "--token-file", "-")
	require.NoError(t, err)
	assert.Contains(t, online, "<h1>cx/nps-q4</h1>")
	assert.Contains(t, online, "plot-distribution")
	_, err = surveyRun(t, "secret", "cx/nps-q4", "--store", url, "--token-file", "-", "--format", "json", "-o", saved)
	require.NoError(t, err)
	out, err := surveyRun(t, "", "-f", saved, "-o", page)
	require.NoError(t, err)
	assert.Empty(t, out)
	offline, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, online, string(offline))
	// What curl gets of the store will do, too.
	whole, err := json.Marshal(map[string]any{"name": "cx/nps-q4", "report": savedReport(t, 100)})
	require.NoError(t, err)
	piped, err := surveyRun(t, string(whole), "-f", "-")
	require.NoError(t, err)
	assert.Equal(t, online, piped)
}

// No data stays no data on its way through JSON.
func TestSurveyReportWithoutAnswers(t *testing.T) {
	page, err := surveyRun(t, "secret", "cx/nps-q4", "--store", storeWith(t, savedReport(t, 0)), "--token-file", "-")
	require.NoError(t, err)
	assert.Contains(t, page, "Nobody has answered yet")
	page, err = surveyRun(t, "secret", "cx/nps-q4", "--store", storeWith(t, savedReport(t, 3)), "--token-file", "-")
	require.NoError(t, err)
	assert.Contains(t, page, "Fewer than five")
}

func TestSurveyReportMistakes(t *testing.T) {
	url, dir := storeWith(t, savedReport(t, 10)), t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	token := write("token", "secret")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"nothing":          {nil, "name the campaign as NAMESPACE/NAME"},
		"no store":         {[]string{"cx/nps-q4"}, "port-forward"},
		"no namespace":     {[]string{"nps-q4", "--store", url, "--token-file", token}, "NAMESPACE/NAME"},
		"no token":         {[]string{"cx/nps-q4", "--store", url}, "spec.api.tokens"},
		"no token there":   {[]string{"cx/nps-q4", "--store", url, "--token-file", filepath.Join(dir, "absent")}, "absent"},
		"no URL":           {[]string{"cx/nps-q4", "--store", "localhost:8080", "--token-file", token}, "write a URL"},
		"unknown token":    {[]string{"cx/nps-q4", "--store", url, "--token-file", write("old", "old")}, "does not know this token"},
		"weak token":       {[]string{"cx/nps-q4", "--store", url, "--token-file", write("other", "other")}, "access read"},
		"unknown campaign": {[]string{"cx/other", "--store", url, "--token-file", token}, "has no campaign cx/other"},
		"busy store":       {[]string{"cx/broken", "--store", url, "--token-file", token}, "try again"},
		"no store there":   {[]string{"cx/nps-q4", "--store", gone.URL, "--token-file", token}, "does not answer"},
		"no CA":            {[]string{"cx/nps-q4", "--store", url, "--token-file", token, "--ca-file", token}, "no certificate in it"},
		"both":             {[]string{"cx/nps-q4", "-f", token}, "leave -f out"},
		"no such file":     {[]string{"-f", filepath.Join(dir, "absent.json")}, "absent.json"},
		"no report":        {[]string{"-f", write("list.json", `{"items":[]}`)}, "is no report of a campaign"},
		"no JSON":          {[]string{"-f", token}, "--format json"},
		"unknown format":   {[]string{"-f", token, "--format", "pdf"}, "html or json"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := surveyRun(t, "", test.args...)
			require.ErrorContains(t, err, test.says)
			assert.NotContains(t, out+err.Error(), "Bearer")
		})
	}
}
