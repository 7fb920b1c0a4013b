package report_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey/report"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	sample = flag.String("sample", "", "write the sample report to this file, to look at it")
)

var (
	start = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
)

func texts(text string) survey.Texts { return survey.Texts{"en": text} }

// program is an experiment with two arms and a follow-up question.
func program(t testing.TB, kind survey.Type) *survey.Program {
	t.Helper()
	p, findings := survey.Compile("cx/nps-q4", survey.Campaign{
		Type: kind, Window: survey.Window{Start: start, End: end}, Channels: []string{"cx/messenger", "cx/email"},
		Trigger:   survey.Trigger{Events: []survey.TriggerEvent{survey.ConversationResolved}},
		Languages: survey.Languages{Offered: []string{"en"}},
		Arms:      []survey.Arm{{Name: "with-channel", Weight: 50, Channels: []string{"cx/messenger"}}, {Name: "without-channel", Weight: 50, Channels: []string{"cx/email"}}},
		Questions: []survey.Question{{ID: "score", Kind: survey.ScoreQuestion, Text: texts("0 to 10?")}, {ID: "why", Kind: survey.TextQuestion, When: "score <= 6", Text: texts("Why?")}},
		Analysis:  survey.Analysis{Compare: survey.CompareArms},
	}, survey.Refs{Now: start, Channels: map[string]survey.Channel{"cx/messenger": {CanSend: true}, "cx/email": {CanSend: true}}})
	require.Empty(t, findings)
	return p
}

// rows are answers of a pattern that a person could have: more high than low,
// rising a little, Messenger a little better.
func rows(n int, scale survey.Scale) []survey.Row {
	weights := []int{3, 1, 2, 2, 3, 6, 7, 13, 19, 24, 20}
	var cycle []int
	for score, weight := range weights[11-scale.Len():] {
		cycle = append(cycle, slices.Repeat([]int{scale.Min + score}, weight)...)
	}
	made := make([]survey.Row, n)
	for i := range made {
		score := cycle[(i*37+i*i/53)%len(cycle)]
		if (i%9 == 0 || i%5 == 0 && i > n/2) && score < scale.Max {
			score++
		}
		arm := (i*7 + i/11) % 2
		asked, answered := uint8(1), uint8(1)
		if score <= 6 {
			asked = 3
			if i%3 > 0 {
				answered = 3
			}
		}
		made[i] = survey.Row{At: start.Add(time.Duration(float64(end.Sub(start)) * float64(i) / float64(n))), Score: score, Arm: arm, Channel: []string{"cx/messenger", "cx/email"}[arm],
			Language: []string{"en", "de", "fr", "de"}[i%4], Asked: asked, Answered: answered, Late: i%70 == 69}
	}
	return made
}

func data(n int, scale survey.Scale) survey.Data {
	return survey.Data{
		Now: end.AddDate(0, 0, 10), Rows: slices.Values(rows(n, scale)),
		Funnel: survey.Funnel{
			Triggered: 18220, Eligible: 15010, HeldOut: 1490, Assigned: 13520, Sampled: 4771, Throttled: 3110, Asked: 1640, Delivered: 1602, Failed: 38, Answered: n - n/70, Completed: n * 3 / 4,
			OptedOut: 4, Cancelled: 31, Expired: 1200, Late: n / 70,
			Exits: map[survey.Exit]int{survey.Excluded: 1210, survey.NotInAudience: 1420, survey.OptedOut: 580, survey.HeldOut: 1490, survey.NotSampled: 8749,
				survey.CampaignCooldown: 2410, survey.GroupCooldown: 700, survey.Unreachable: 21},
		},
		Arms: []survey.ArmCounts{{Assigned: 2391, Asked: 825, Answered: n / 2}, {Assigned: 2380, Asked: 815, Answered: n/2 - 6}},
	}
}

func render(t testing.TB, r survey.Report) []byte {
	var b bytes.Buffer
	require.NoError(t, report.Render(&b, r))
	return b.Bytes()
}

func sampleReport(t testing.TB) survey.Report {
	return survey.Aggregate(program(t, survey.NetPromoter), data(391, survey.Scale{Min: 0, Max: 10}))
}

// walk visits all elements of a page.
func walk(t testing.TB, page []byte, visit func(*html.Node)) {
	root, err := html.Parse(bytes.NewReader(page))
	require.NoError(t, err)
	for node := range root.Descendants() {
		if node.Type == html.ElementNode {
			visit(node)
		}
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// outline is the structure of a page in words: headings, plots, tables, numbers.
func outline(t testing.TB, page []byte) string {
	var b strings.Builder
	walk(t, page, func(n *html.Node) {
		switch n.Data {
		case "h1", "h2", "h3", "p", "dt", "dd", "li":
			b.WriteString(n.Data + ": " + textOf(n) + "\n")
		case "svg":
			shapes := map[string]int{}
			for c := range n.Descendants() {
				shapes[c.Data]++
			}
			b.WriteString("svg " + attribute(n, "id") + ": " + attribute(n, "viewbox") + attribute(n, "viewBox") + "\n")
		case "tr":
			var cells []string
			for c := range n.ChildNodes() {
				cells = append(cells, textOf(c))
			}
			b.WriteString("row: " + strings.Join(cells, " | ") + "\n")
		}
	})
	return b.String()
}

func TestPageHasItsStructure(t *testing.T) {
	page := render(t, sampleReport(t))
	if *sample != "" {
		require.NoError(t, os.WriteFile(*sample, page, 0o600))
	}
	got := outline(t, page)
	const golden = "testdata/outline.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test ./bridge/survey/report -update writes it anew")
}

func TestPageNeedsNothingElse(t *testing.T) {
	page := render(t, sampleReport(t))
	walk(t, page, func(n *html.Node) {
		assert.NotContains(t, []string{"script", "link", "img", "iframe", "object", "base", "form"}, n.Data)
		for _, a := range n.Attr {
			assert.NotContains(t, []string{"src", "href", "xlink:href", "style"}, a.Key, n.Data)
			assert.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
		}
	})
	assert.NotContains(t, string(page), "url(")
	assert.NotContains(t, string(page), "@import")
	assert.Contains(t, string(page), "prefers-color-scheme: dark")
	assert.Less(t, len(page), 200_000, "bytes: it can be mailed")
}

func TestPlotsCanBeTold(t *testing.T) {
	plots, ids := 0, map[string]bool{}
	walk(t, render(t, sampleReport(t)), func(n *html.Node) {
		if id := attribute(n, "id"); id != "" {
			assert.False(t, ids[id], "id %s is there twice", id)
			ids[id] = true
		}
		if n.Data != "svg" {
			return
		}
		plots++
		assert.Equal(t, "img", attribute(n, "role"))
		for _, id := range strings.Fields(attribute(n, "aria-labelledby")) {
			found := ""
			for c := range n.Descendants() {
				if attribute(c, "id") == id {
					found = textOf(c)
				}
			}
			assert.NotEmpty(t, found, id)
		}
	})
	assert.Equal(t, 7, plots, "series, distribution, funnel, arms, channels, languages, questions")
}

func TestNamesAreEscaped(t *testing.T) {
	r := sampleReport(t)
	r.Campaign = "<script>alert(1)</script>"
	r.Arms[0].Name, r.Channels[0].Name, r.Questions[0].ID = `"><script>`, "<b>", "</svg><script>"
	walk(t, render(t, r), func(n *html.Node) { assert.NotContains(t, []string{"script", "b"}, n.Data) })
}

func TestPageWithoutDataSaysSo(t *testing.T) {
	p := program(t, survey.NetPromoter)
	page := string(render(t, survey.Aggregate(p, survey.Data{Now: start})))
	assert.Contains(t, page, "Nobody has answered yet")
	assert.NotContains(t, page, `class="number"`)
	assert.NotContains(t, page, "NaN")

	page = string(render(t, survey.Aggregate(p, survey.Data{Now: start, Rows: slices.Values(rows(4, survey.Scale{Min: 0, Max: 10}))})))
	assert.Contains(t, page, "Fewer than five")
	assert.NotContains(t, page, "NaN")
}

func TestPagesOfEveryTypeAndSize(t *testing.T) {
	for _, kind := range []survey.Type{survey.NetPromoter, survey.CustomerSatisfaction, survey.CustomerEffort} {
		p := program(t, kind)
		for _, n := range []int{0, 1, 5, 6, 40, 1000} {
			page := string(render(t, survey.Aggregate(p, data(n, p.Scale()))))
			assert.NotContains(t, page, "NaN", "%s of %d", kind, n)
			assert.NotContains(t, page, "Inf", "%s of %d", kind, n)
		}
	}
}

func BenchmarkRenderMillion(b *testing.B) {
	p := program(b, survey.NetPromoter)
	d := data(1_000_000, p.Scale())
	for b.Loop() {
		if err := report.Render(io.Discard, survey.Aggregate(p, d)); err != nil {
			b.Fatal(err)
		}
	}
}
