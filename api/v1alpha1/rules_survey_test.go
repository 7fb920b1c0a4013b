package v1alpha1_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fullCampaign has every field of a SurveyCampaign that goes with the others.
const fullCampaign = `
metadata: {name: full, namespace: default}
spec:
  storeRef: {name: main, namespace: platform}
  type: CSAT
  scale: {min: 1, max: 7}
  topBoxFrom: 6
  suspend: true
  window: {start: "2026-10-01T00:00:00Z", end: "2027-01-01T00:00:00Z"}
  channelRefs: [{name: telegram-main}, {name: main, namespace: shop}]
  trigger:
    events: [ConversationResolved, Manual, API]
    delay: 24h
    scheduleRef: {name: hours}
    maxDefer: 72h
    cancelOn: [ConversationReopened, NegativeEvent]
    oncePer: Resolution
    exclude: {autoResolved: true, minInboundMessages: 1, labels: [spam, internal]}
  audience:
    matches:
      - channelRefs: [{name: telegram-main}]
        labels: {brand: acme}
        attributes: {tier: gold}
        languages: [en, de]
        expression: 'contact.attributes.?type.orValue("") != "partner"'
    consent: {purpose: survey, requireOptIn: true}
  languages: {offered: [en, de], fallback: en}
  sampling: {rate: "12.5%", unit: Conversation, seed: q4}
  holdout: {fraction: 10%, scope: Group}
  arms:
    - {name: now, weight: 50, delay: 1h, texts: {score: {en: "1 to 7?", de: "1 bis 7?"}}}
    - {name: later, weight: 50, channelRefs: [{name: telegram-main}], delay: 24h}
  frequency: {group: customer-surveys, campaignCooldown: 2160h, groupCooldown: 336h, from: Answered, onThrottled: Defer, priority: 50}
  questions:
    - {id: score, kind: Score, text: {en: "How was it, 1 to 7?", de: "Wie war es, 1 bis 7?"}}
    - {id: why, kind: Text, when: "score <= 3", text: {en: "What went wrong?", de: "Was war nicht gut?"}, maxChars: 1000}
  replies: {window: 72h, lateWindow: 336h, editWindow: 10m, commentWindow: 10m, clarify: {en: "A number, please.", de: "Bitte eine Zahl."}}
  reminders: {count: 1, after: 24h, text: {en: "Still there?", de: "Noch da?"}}
  thanks: [{from: 1, to: 3, text: {en: "We are sorry.", de: "Das tut uns leid."}}, {from: 6, to: 7, text: {en: "Thank you!", de: "Danke!"}}]
  actions: [{name: recover, when: "score <= 3", do: OpenConversation, queueRef: {name: recovery}, within: 4h}]
  stop: {maxResponses: 2000, halfWidth: "2.5", floorResponseRate: 3%}
  analysis: {confidence: 95, compare: DifferenceInDifferences, metric: Score, baseline: later, changedAt: "2026-11-15T00:00:00Z", minPerGroup: 400}`

// fullCampaigns with what excludes something of fullCampaign.
const holdoutCampaign = `
metadata: {name: full, namespace: default}
spec:
  type: NPS
  window: {start: "2026-10-01T00:00:00Z", end: "2027-01-01T00:00:00Z"}
  channelRefs: [{name: telegram-main}]
  trigger: {events: [API]}
  languages: {offered: [en]}
  holdout: {fraction: 99.99%}
  questions: [{id: score, kind: Score, text: {en: "0 to 10?"}}]
  analysis: {compare: Holdout, metric: RepeatContact30d}`

func question(id, kind string, languages ...string) fields {
	text := fields{}
	for _, l := range languages {
		text[l] = "?"
	}
	return fields{"id": id, "kind": kind, "text": text}
}

func surveyArm(name string, channels ...string) fields {
	a := fields{"name": name, "weight": 1}
	var refs list
	for _, c := range channels {
		refs = append(refs, fields{"name": c})
	}
	if refs != nil {
		a["channelRefs"] = refs
	}
	return a
}

var (
	twoArms      = list{surveyArm("a"), surveyArm("b")}
	aTime        = "2026-11-15T00:00:00Z"
	scoreInEN    = list{question("score", "Score", "en")}
	noScore      = "must have kind: Score; it is the one that makes an answer count"
	untranslated = "every question needs a text in each language of languages.offered"
	percentage   = "must be a percentage"
	shares       = "two arms share some channelRefs and not others"
)

// campaignRules are the rules that say more than a bound.
var campaignRules = concat(nameOf63(), reference("spec.storeRef"), durations("spec.trigger.delay"), durations("spec.trigger.maxDefer"),
	durations("spec.replies.window"), durations("spec.replies.editWindow"), durations("spec.frequency.campaignCooldown"),
	bounds("spec.stop.maxResponses", 1, 100000000), bounds("spec.analysis.minPerGroup", 5, 100000000), bounds("spec.frequency.priority", 0, 1000), []rule{
		{covers: "type", field: "spec.type", bad: "PMF", good: "CES", want: enum},
		{covers: "window is needed", field: "spec.window", bad: nil, want: required},
		{covers: "window end is needed", field: "spec.window.end", bad: nil, want: required},
		{covers: "window order", field: "spec.window", bad: fields{"start": aTime, "end": aTime}, good: fields{"start": aTime, "end": "2026-11-15T00:00:01Z"}, want: "the window must start before it ends"},
		{covers: "window format", field: "spec.window.start", bad: "2026-10-01", want: "date-time"},
		{covers: "scale of an NPS", field: "spec.scale", bad: fields{"min": 1, "max": 5}, want: "scale and topBoxFrom are for CSAT only"},
		{covers: "top box of a CES", field: "spec.topBoxFrom", with: fields{"spec.type": "CES"}, bad: 6, want: "scale and topBoxFrom are for CSAT only"},
		{covers: "scale of a CSAT", field: "spec.scale", with: fields{"spec.type": "CSAT"}, bad: fields{"min": 1, "max": 6}, good: fields{"min": 1, "max": 7}, want: "a CSAT is 1 to 5 or 1 to 7"},
		{covers: "top box beyond the scale", field: "spec.topBoxFrom", with: fields{"spec.type": "CSAT"}, bad: 6, good: 5, want: "topBoxFrom must be a score of the scale"},
		{covers: "channels", field: "spec.channelRefs", bad: list{}, want: tooFew},
		{covers: "channels", field: "spec.channelRefs", bad: many(17, parent), good: many(16, parent), want: tooMany},
		{covers: "trigger", field: "spec.trigger.events", bad: list{}, good: list{"Manual", "API"}, want: tooFew},
		{covers: "trigger", field: "spec.trigger.events", bad: list{"FlowState"}, want: enum},
		{covers: "no score question", field: "spec.questions", bad: list{question("why", "Text", "en")}, good: scoreInEN, want: noScore},
		{covers: "two score questions", field: "spec.questions", bad: list{question("a", "Score", "en"), question("b", "Score", "en")}, want: noScore},
		{covers: "score is second", field: "spec.questions", bad: list{question("a", "Text", "en"), question("b", "Score", "en")}, good: list{question("b", "Score", "en"), question("a", "Text", "en")}, want: noScore},
		{covers: "no question", field: "spec.questions", bad: list{}, want: tooFew},
		{covers: "question ids", field: "spec.questions", bad: list{scoreInEN[0], question("score", "Text", "en")}, want: duplicate},
		{covers: "missing translation", field: "spec.languages.offered", bad: list{"en", "de"}, good: list{"en"}, want: untranslated},
		{covers: "language", field: "spec.languages.offered", bad: list{"english"}, want: pattern},
		{covers: "fallback", field: "spec.languages.fallback", bad: "de", good: "en", want: "fallback must be one of offered"},
		{covers: "sampling too fine", field: "spec.sampling.rate", bad: "12.345%", good: "12.34%", want: percentage},
		{covers: "sampling too fine, as in the issue", field: "spec.sampling.rate", bad: "12.345 %", good: "12.5%", want: "Too long"},
		{covers: "sampling with a space", field: "spec.sampling.rate", bad: "12.3 %", want: "in steps of 0.01 %"},
		{covers: "sampling without a sign", field: "spec.sampling.rate", bad: "12", good: "0.01%", want: percentage},
		{covers: "sampling too much", field: "spec.sampling.rate", bad: "100.01%", good: "100.00%", want: percentage},
		{covers: "sampling nobody", field: "spec.sampling.rate", bad: "0.00%", good: "100%", want: "0% would ask nobody"},
		{covers: "holdout of everybody", field: "spec.holdout.fraction", bad: "100%", good: "99.99%", want: "with all held out, nobody would be asked"},
		{covers: "holdout too fine", field: "spec.holdout.fraction", bad: "1.005%", good: "10%", want: percentage},
		{covers: "holdout of no group", field: "spec.holdout", bad: fields{"fraction": "10%", "scope": "Group"}, good: fields{"fraction": "10%", "scope": "Campaign"}, want: "holdout.scope Group needs frequency.group"},
		{covers: "cool-down of no group", field: "spec.frequency", bad: fields{"groupCooldown": "336h"}, good: fields{"groupCooldown": "336h", "group": "all"}, want: "groupCooldown needs group"},
		{covers: "one arm", field: "spec.arms", bad: list{surveyArm("a")}, good: twoArms, want: tooFew},
		{covers: "too many arms", field: "spec.arms", bad: many(9, func(i int) any { return surveyArm(fmt.Sprint("a", i)) }), want: tooMany},
		{covers: "arms of one name", field: "spec.arms", bad: list{surveyArm("a"), surveyArm("a")}, good: twoArms, want: duplicate},
		{covers: "arms that overlap", field: "spec.arms", bad: list{surveyArm("a", "x", "y"), surveyArm("b", "x")}, good: list{surveyArm("a", "x"), surveyArm("b", "y")}, want: shares},
		{covers: "arms that overlap, the other way", field: "spec.arms", bad: list{surveyArm("a", "x"), surveyArm("b", "y", "x")}, good: list{surveyArm("a", "x", "y"), surveyArm("b", "y", "x")}, want: shares},
		{covers: "arm without weight", field: "spec.arms", bad: list{surveyArm("a").and(fields{"weight": 0}), surveyArm("b")}, want: atLeast},
		{covers: "reminders", field: "spec.reminders", bad: fields{"count": 4, "after": "1h"}, good: fields{"count": 3, "after": "1h"}, want: atMost},
		{covers: "reminders at once", field: "spec.reminders", bad: fields{"count": 1, "after": "0s"}, want: "more than nothing"},
		{covers: "thanks backwards", field: "spec.thanks", bad: list{fields{"from": 6, "to": 5, "text": fields{"en": "x"}}}, good: list{fields{"from": 5, "to": 5, "text": fields{"en": "x"}}}, want: "from must not be above to"},
		{covers: "half-width", field: "spec.stop.halfWidth", bad: "0", good: "5", want: "a number of points above 0"},
		{covers: "half-width", field: "spec.stop.halfWidth", bad: "100", good: "2.25", want: "a number of points above 0"},
		{covers: "floor", field: "spec.stop.floorResponseRate", bad: "3", good: "3%", want: percentage},
		{covers: "confidence", field: "spec.analysis.confidence", bad: 80, good: 99, want: enum},
		{covers: "compare arms without any", field: "spec.analysis", bad: fields{"compare": "Arms"}, want: "need arms"},
		{covers: "compare arms", field: "spec.analysis", with: fields{"spec.arms": twoArms}, bad: fields{"baseline": "c"}, good: fields{"compare": "Arms", "baseline": "a"}, want: "analysis.baseline must be the name of an arm"},
		{covers: "compare a holdout without any", field: "spec.analysis", bad: fields{"compare": "Holdout", "metric": "OptOut"}, want: "needs holdout.fraction"},
		{covers: "score of the silent", field: "spec.analysis", with: fields{"spec.holdout": fields{"fraction": "10%"}}, bad: fields{"compare": "Holdout"}, good: fields{"compare": "Holdout", "metric": "OptOut"}, want: "who is held out gives no score"},
		{covers: "behaviour before and after", field: "spec.analysis", bad: fields{"compare": "BeforeAfter", "changedAt": aTime, "metric": "OptOut"}, good: fields{"compare": "BeforeAfter", "changedAt": aTime}, want: "before and after are compared by Score"},
		{covers: "when it changed", field: "spec.analysis", bad: fields{"compare": "BeforeAfter"}, want: "changedAt is required"},
		{covers: "changed outside the window", field: "spec.analysis", bad: fields{"compare": "BeforeAfter", "changedAt": "2027-11-15T00:00:00Z"}, want: "must be within the window"},
	})

func TestSurveyCampaignRules(t *testing.T) { testRules(t, "SurveyCampaign", campaignRules) }

// What is to be learned is declared before the start: until then all can be
// changed, and afterwards what does not touch the measurement still can.
func TestWhatIsMeasuredIsFixedOnceStarted(t *testing.T) {
	s := server(t)
	base := manifest(t, "SurveyCampaign")
	set(t, base, "spec.arms", twoArms)
	set(t, base, "spec.analysis", fields{"compare": "Arms"})
	kept := s.keep(t, base)
	resource := s.resource("SurveyCampaign")
	try := func(field string, value any) error {
		next := kept.DeepCopy()
		set(t, next, field, value)
		_, err := resource.Update(t.Context(), next, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	fixed := []struct {
		field string
		value any
		says  string
	}{
		{"spec.analysis.minPerGroup", 50, "spec.analysis cannot be changed once"},
		{"spec.analysis.compare", "None", "spec.analysis cannot be changed once"},
		{"spec.analysis", nil, "spec.analysis cannot be changed once"},
		{"spec.type", "CES", "spec.type and spec.scale cannot be changed once"},
		{"spec.arms", list{surveyArm("b"), surveyArm("a")}, "order of spec.arms cannot be changed once"},
		{"spec.arms", list{surveyArm("a").and(fields{"weight": 2}), surveyArm("b")}, "order of spec.arms cannot be changed once"},
		{"spec.arms", list{surveyArm("a"), surveyArm("b"), surveyArm("c")}, "order of spec.arms cannot be changed once"},
		{"spec.arms", list{surveyArm("a").and(fields{"delay": "1h"}), surveyArm("b")}, "order of spec.arms cannot be changed once"},
		{"spec.sampling", fields{"rate": "50%"}, "spec.sampling and spec.holdout cannot be changed once"},
		{"spec.holdout", fields{"fraction": "50%"}, "spec.sampling and spec.holdout cannot be changed once"},
	}
	for _, f := range fixed {
		assert.NoError(t, try(f.field, f.value), "before the start: %s", f.field)
	}
	set(t, kept, "status", fields{"observedGeneration": 1, "startedAt": time.Now().UTC().Format(time.RFC3339)})
	kept, err := resource.UpdateStatus(t.Context(), kept, metav1.UpdateOptions{})
	require.NoError(t, err)
	for _, f := range fixed {
		assert.ErrorContains(t, try(f.field, f.value), f.says, f.field)
	}
	for field, value := range map[string]any{
		"spec.suspend": true, "spec.window.end": "2027-02-01T00:00:00Z", "spec.stop": fields{"maxResponses": 10},
		"metadata.labels": fields{"team": "cx"},
	} {
		assert.NoError(t, try(field, value), "after the start: %s", field)
	}
	set(t, kept, "status.phase", "Running")
	_, err = resource.UpdateStatus(t.Context(), kept, metav1.UpdateOptions{})
	require.NoError(t, err, "status itself goes on")
}

// Who counts as satisfied is declared before the start: 80 % instead of 60 % are
// one edit away after it.
func TestTheTopBoxIsFixedOnceStarted(t *testing.T) {
	s := server(t)
	base := manifest(t, "SurveyCampaign")
	set(t, base, "spec.type", "CSAT")
	set(t, base, "spec.topBoxFrom", int64(4))
	set(t, base, "spec.actions", nil)
	set(t, base, "spec.thanks", nil)
	kept := s.keep(t, base)
	resource := s.resource("SurveyCampaign")
	try := func(value any) error {
		next := kept.DeepCopy()
		set(t, next, "spec.topBoxFrom", value)
		_, err := resource.Update(t.Context(), next, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, try(int64(3)))
	set(t, kept, "status", fields{"observedGeneration": 1, "startedAt": time.Now().UTC().Format(time.RFC3339)})
	kept, err := resource.UpdateStatus(t.Context(), kept, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, try(int64(4)))
	for _, value := range []any{int64(3), nil} {
		assert.ErrorContains(t, try(value), "spec.topBoxFrom cannot be changed once")
	}
}
