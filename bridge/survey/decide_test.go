package survey_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// askable are facts of a contact who is asked.
func askable() survey.Facts {
	return survey.Facts{
		Now: noon, Event: survey.ConversationResolved, TriggeredAt: noon.Add(-time.Hour),
		Contact:      survey.ContactFacts{ID: "contact-1", Language: "de-AT", Attributes: map[string]string{"tier": "gold"}},
		Conversation: survey.ConversationFacts{ID: "conversation-1", Channel: "cx/messenger", Labels: map[string]string{"brand": "acme"}, InboundMessages: 3},
		Channels: []survey.ChannelFacts{
			{Name: "cx/telegram", Reachable: true},
			{Name: "cx/messenger", Reachable: true, WindowUntil: noon.Add(time.Hour)},
		},
	}
}

// The vectors of routing-surveys.md 2.2.3.
func TestAssignDrawsAsSpecified(t *testing.T) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "a", Weight: 50, Channels: []string{"cx/telegram"}}, {Name: "b", Weight: 50, Channels: []string{"cx/messenger"}}}
	// cx/nps-q4, sample, contact-1 is slot 3881.
	c.Sampling.Rate = "38.81%"
	assert.False(t, compile(t, c).Assign("contact-1", "").Sampled)
	c.Sampling.Rate = "38.82%"
	assert.True(t, compile(t, c).Assign("contact-1", "").Sampled)
	// cx/nps-q4, arm, contact-1 is 4987: the first of two halves.
	assert.Equal(t, 0, compile(t, c).Assign("contact-1", "").Arm)
	c.Arms[0].Weight, c.Arms[1].Weight = 4987, 5013
	assert.Equal(t, 1, compile(t, c).Assign("contact-1", "").Arm)
	// group/customer-surveys, holdout, contact-1 is 7083.
	c.Holdout = survey.Holdout{Fraction: "70.83%", Scope: survey.HoldoutGroup}
	assert.False(t, compile(t, c).Assign("contact-1", "").HeldOut)
	c.Holdout.Fraction = "70.84%"
	assert.True(t, compile(t, c).Assign("contact-1", "").HeldOut)

	// Over contact-0 to contact-99999: 12 399 of 12.5 %, 9 986 of 10 %.
	c.Sampling.Rate, c.Holdout.Fraction = "12.5%", "10%"
	c.Arms[0].Weight, c.Arms[1].Weight = 50, 50
	p := compile(t, c)
	sampled, held, first, both := 0, 0, 0, 0
	for i := range 100_000 {
		a := p.Assign(fmt.Sprintf("contact-%d", i), "")
		if a.HeldOut {
			held++
		}
		if a.Arm == 0 {
			first++
		}
		if a.Sampled {
			sampled++
			if a.Arm == 0 {
				both++
			}
		}
	}
	assert.Equal(t, []int{12_399, 9_986, 50_045, 6_270}, []int{sampled, held, first, both})
}

func TestRaisingASampleOnlyAddsContacts(t *testing.T) {
	c := nps()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.IntRange(1, 9_999).Draw(t, "low")
		high := rapid.IntRange(low, 10_000).Draw(t, "high")
		contact := rapid.StringMatching(`[a-z0-9]{1,26}`).Draw(t, "contact")
		sampled := func(slots int) bool {
			c.Sampling.Rate = fmt.Sprintf("%d.%02d%%", slots/100, slots%100)
			p, findings := survey.Compile("cx/nps-q4", c, survey.Refs{Now: noon, Channels: map[string]survey.Channel{"cx/telegram": {CanSend: true}, "cx/messenger": {CanSend: true}}, Queues: map[string]bool{"cx/recovery": true}})
			require.Empty(t, findings)
			return p.Assign(contact, "").Sampled
		}
		require.True(t, !sampled(low) || sampled(high))
	})
}

func TestSamplingByConversationHoldsPeopleOut(t *testing.T) {
	c := nps()
	c.Sampling = survey.Sampling{Rate: "50%", Unit: survey.UnitConversation}
	c.Holdout.Fraction = "50%"
	p := compile(t, c)
	differs := false
	for i := range 50 {
		a, b := p.Assign("contact-1", "conversation-0"), p.Assign("contact-1", fmt.Sprintf("conversation-%d", i))
		assert.Equal(t, a.HeldOut, b.HeldOut)
		differs = differs || a.Sampled != b.Sampled
	}
	assert.True(t, differs)
}

func TestDecideLeavesByEveryExit(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	const oneDay = 24 * time.Hour
	for name, tc := range map[string]struct {
		campaign func(*survey.Campaign)
		facts    func(*survey.Facts)
		want     survey.Exit
	}{
		"asked":             {want: survey.Asked},
		"another trigger":   {facts: func(f *survey.Facts) { f.Event = survey.Manual }, want: survey.OtherTrigger},
		"unknown trigger":   {facts: func(f *survey.Facts) { f.Event = "Birthday" }, want: survey.OtherTrigger},
		"suspended":         {campaign: func(c *survey.Campaign) { c.Suspended = true }, want: survey.Suspended},
		"closed by a timer": {campaign: func(c *survey.Campaign) { c.Trigger.Exclude.AutoResolved = true }, facts: func(f *survey.Facts) { f.Conversation.AutoResolved = true }, want: survey.Excluded},
		"wrote too little":  {campaign: func(c *survey.Campaign) { c.Trigger.Exclude.MinInboundMessages = 4 }, want: survey.Excluded},
		"API knows no conversation": {campaign: func(c *survey.Campaign) { c.Trigger.Exclude.MinInboundMessages = 4 }, facts: func(f *survey.Facts) {
			f.Event, f.Conversation = survey.API, survey.ConversationFacts{}
		}, want: survey.Asked},
		"label":          {campaign: func(c *survey.Campaign) { c.Trigger.Exclude.Labels = []string{"spam", "brand"} }, want: survey.Excluded},
		"asked before":   {facts: func(f *survey.Facts) { f.Ledger.Already = true }, want: survey.AlreadyAsked},
		"too early":      {facts: func(f *survey.Facts) { f.Now = start.Add(-2 * time.Hour); f.TriggeredAt = f.Now }, want: survey.OutsideWindow},
		"at the end":     {facts: func(f *survey.Facts) { f.Now, f.TriggeredAt = end, end }, want: survey.OutsideWindow},
		"due at the end": {facts: func(f *survey.Facts) { f.Now, f.TriggeredAt = end.Add(-time.Hour), end.Add(-time.Hour) }, want: survey.OutsideWindow},
		"stopped":        {facts: func(f *survey.Facts) { f.Stopped = true }, want: survey.Stopped},
		"other brand": {campaign: func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Labels: map[string]string{"brand": "other"}}}
		}, want: survey.NotInAudience},
		"other channel":  {campaign: func(c *survey.Campaign) { c.Audience.Matches = []survey.Match{{Channels: []string{"cx/telegram"}}} }, want: survey.NotInAudience},
		"other language": {campaign: func(c *survey.Campaign) { c.Audience.Matches = []survey.Match{{Languages: []string{"en"}}} }, want: survey.NotInAudience},
		"one of two": {campaign: func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Languages: []string{"en"}}, {Attributes: map[string]string{"tier": "gold"}}}
		}, want: survey.Asked},
		"CEL says yes": {campaign: func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Expression: `contact.attributes.?tier.orValue("") == "gold" && conversation.labels["brand"] == "acme"`}}
		}, want: survey.Asked},
		"CEL says no": {campaign: func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Expression: `contact.language.startsWith("en")`}}
		}, want: survey.NotInAudience},
		"CEL fails": {campaign: func(c *survey.Campaign) {
			c.Audience.Matches = []survey.Match{{Expression: `contact.attributes["age"] == "7"`}}
		}, want: survey.NotInAudience},
		"speaks Finnish":  {facts: func(f *survey.Facts) { f.Contact.Language = "fi" }, want: survey.LanguageNotOffered},
		"opted out":       {facts: func(f *survey.Facts) { f.Contact.Consent = survey.ConsentOptedOut }, want: survey.OptedOut},
		"never agreed":    {campaign: func(c *survey.Campaign) { c.Audience.Consent.RequireOptIn = true }, want: survey.NoConsent},
		"agreed":          {campaign: func(c *survey.Campaign) { c.Audience.Consent.RequireOptIn = true }, facts: func(f *survey.Facts) { f.Contact.Consent = survey.ConsentOptedIn }, want: survey.Asked},
		"held out":        {campaign: func(c *survey.Campaign) { c.Holdout.Fraction = "99.99%" }, want: survey.HeldOut},
		"kept assignment": {facts: func(f *survey.Facts) { f.Assigned = &survey.Assignment{HeldOut: true} }, want: survey.HeldOut},
		"not sampled":     {campaign: func(c *survey.Campaign) { c.Sampling.Rate = "0.01%" }, want: survey.NotSampled},
		"assigned before throttled": {campaign: func(c *survey.Campaign) { c.Sampling.Rate = "0.01%" }, facts: func(f *survey.Facts) { f.Ledger.Campaign.Sent = ago(oneDay) },
			want: survey.NotSampled},
		"campaign asked 89 days ago": {facts: func(f *survey.Facts) { f.Ledger.Campaign.Sent = ago(89 * oneDay) }, want: survey.CampaignCooldown},
		"campaign asked 90 days ago": {facts: func(f *survey.Facts) { f.Ledger.Campaign.Sent = ago(90 * oneDay) }, want: survey.Asked},
		"group asked 13 days ago":    {facts: func(f *survey.Facts) { f.Ledger.Group.Sent = ago(13 * oneDay) }, want: survey.GroupCooldown},
		"group asked 14 days ago":    {facts: func(f *survey.Facts) { f.Ledger.Group.Sent = ago(14 * oneDay) }, want: survey.Asked},
		"silence does not count": {campaign: func(c *survey.Campaign) { c.Frequency.From = survey.FromAnswered },
			facts: func(f *survey.Facts) { f.Ledger.Group.Sent = ago(oneDay) }, want: survey.Asked},
		"deferred to the group's end": {campaign: func(c *survey.Campaign) { c.Frequency.OnThrottled = survey.ThrottledDefer },
			facts: func(f *survey.Facts) { f.Ledger.Group.Sent = ago(12 * oneDay) }, want: survey.Deferred},
		"too long to defer": {campaign: func(c *survey.Campaign) { c.Frequency.OnThrottled = survey.ThrottledDefer },
			facts: func(f *survey.Facts) { f.Ledger.Group.Sent = ago(10 * oneDay) }, want: survey.GroupCooldown},
		"outranked":     {facts: func(f *survey.Facts) { f.Outranked = true }, want: survey.Outranked},
		"no identity":   {facts: func(f *survey.Facts) { f.Channels = nil }, want: survey.Unreachable},
		"blocked us":    {facts: func(f *survey.Facts) { f.Channels[0].Reachable, f.Channels[1].Reachable = false, false }, want: survey.Unreachable},
		"window closed": {facts: func(f *survey.Facts) { f.Channels = f.Channels[1:]; f.Channels[0].WindowUntil = noon }, want: survey.WindowClosed},
		"template": {facts: func(f *survey.Facts) {
			f.Channels = f.Channels[1:]
			f.Channels[0].WindowUntil, f.Channels[0].Template = noon, true
		}, want: survey.Asked},
		"survey open":     {facts: func(f *survey.Facts) { f.Channels = f.Channels[:1]; f.Channels[0].SurveyUntil = noon.Add(oneDay) }, want: survey.Deferred},
		"survey too long": {facts: func(f *survey.Facts) { f.Channels = f.Channels[:1]; f.Channels[0].SurveyUntil = noon.Add(9 * oneDay) }, want: survey.SurveyOpen},
		"being helped":    {facts: func(f *survey.Facts) { f.Channels[0].Attended, f.Channels[1].Attended = true, true }, want: survey.Deferred},
		"helped for too long": {facts: func(f *survey.Facts) {
			f.TriggeredAt = noon.Add(-9 * oneDay)
			f.Channels[0].Attended, f.Channels[1].Attended = true, true
		}, want: survey.ConversationOpen},
		"helped elsewhere":     {facts: func(f *survey.Facts) { f.Channels[1].Attended = true }, want: survey.Asked},
		"helped, and reopened": {facts: func(f *survey.Facts) { f.Channels, f.Channels[0].Attended, f.Reopened = f.Channels[:1], true, true }, want: survey.Reopened},
		"before the delay":     {facts: func(f *survey.Facts) { f.TriggeredAt = noon }, want: survey.Deferred},
		"in the night": {campaign: func(c *survey.Campaign) { c.Trigger.Schedule = "cx/hours" }, facts: func(f *survey.Facts) {
			f.Now, f.TriggeredAt = noon.Add(8*time.Hour), noon.Add(7*time.Hour)
			f.Channels = f.Channels[:1]
		}, want: survey.Deferred},
		"a long night": {campaign: func(c *survey.Campaign) { c.Trigger.Schedule, c.Trigger.MaxDefer = "cx/hours", hour }, facts: func(f *survey.Facts) {
			f.Now, f.TriggeredAt = noon.Add(8*time.Hour), noon.Add(7*time.Hour)
			f.Channels = f.Channels[:1]
		}, want: survey.QuietTimes},
		"reopened":            {facts: func(f *survey.Facts) { f.Reopened = true }, want: survey.Reopened},
		"a refund":            {campaign: func(c *survey.Campaign) { c.Trigger.CancelOn = []survey.CancelEvent{survey.NegativeEvent} }, facts: func(f *survey.Facts) { f.NegativeEvent = true }, want: survey.CancelledByEvent},
		"a refund, no matter": {facts: func(f *survey.Facts) { f.NegativeEvent = true }, want: survey.Asked},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := nps(), askable()
			if tc.campaign != nil {
				tc.campaign(&c)
			}
			if tc.facts != nil {
				tc.facts(&f)
			}
			p := compile(t, c)
			d := survey.Decide(p, &f)
			require.Equal(t, tc.want.String(), d.Exit.String())
			assert.Equal(t, d, survey.Decide(p, &f), "a decision can be replayed")
			assert.Equal(t, tc.want == survey.Asked, d.Channel != "")
			assert.Equal(t, tc.want == survey.Deferred, !d.Until.IsZero())
			assert.Equal(t, tc.want >= survey.HeldOut, d.Assigned)
		})
	}
}

func TestDecideAsksWhereTheConversationWas(t *testing.T) {
	p, f := compile(t, nps()), askable()
	d := survey.Decide(p, &f)
	assert.Equal(t, "cx/messenger", d.Channel)
	assert.Equal(t, "de", d.Language)
	f.Conversation.Channel = ""
	assert.Equal(t, "cx/telegram", survey.Decide(p, &f).Channel, "the first of the campaign's")
	f.Conversation.Channel = "cx/elsewhere"
	assert.Equal(t, "cx/telegram", survey.Decide(p, &f).Channel)
	f.Conversation.Channel, f.Channels[1].WindowUntil = "cx/messenger", noon
	assert.Equal(t, "cx/telegram", survey.Decide(p, &f).Channel, "where it may be asked")
}

func TestDecideAsksAnArmOnItsOwnChannels(t *testing.T) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "with", Weight: 1, Channels: []string{"cx/messenger"}}, {Name: "without", Weight: 1, Channels: []string{"cx/telegram"}}}
	p, f := compile(t, c), askable()
	for i := range 20 {
		f.Contact.ID = fmt.Sprint("contact-", i)
		d := survey.Decide(p, &f)
		assert.Equal(t, []string{"cx/messenger", "cx/telegram"}[d.Assignment.Arm], d.Channel)
	}
}

func TestDeferralsEndWhenTheyShould(t *testing.T) {
	c := nps()
	c.Trigger.Schedule = "cx/hours"
	p, f := compile(t, c), askable()
	f.Channels = f.Channels[:1]
	f.Now, f.TriggeredAt = time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC), time.Date(2026, 11, 27, 17, 15, 0, 0, time.UTC)
	d := survey.Decide(p, &f)
	require.Equal(t, survey.DeferDelay, d.Because)
	assert.Equal(t, time.Date(2026, 11, 27, 18, 15, 0, 0, time.UTC), d.Until)
	f.Now = d.Until
	d = survey.Decide(p, &f)
	require.Equal(t, survey.DeferQuietTimes, d.Because, "Friday evening")
	assert.Equal(t, time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), d.Until, "Monday morning")
	f.Now = d.Until
	assert.Equal(t, survey.Asked, survey.Decide(p, &f).Exit)
}

func TestClocksOfMergedContactsKeepTheLatest(t *testing.T) {
	a := survey.Clock{Sent: noon, Answered: noon.Add(-time.Hour)}
	b := survey.Clock{Sent: noon.Add(-time.Hour), Answered: noon}
	assert.Equal(t, survey.Clock{Sent: noon, Answered: noon}, a.Later(b))
	assert.Equal(t, a, a.Later(survey.Clock{}))
}

func TestExitsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range survey.Exits() {
		text, err := e.MarshalText()
		require.NoError(t, err)
		assert.False(t, seen[string(text)])
		seen[string(text)] = true
		var back survey.Exit
		require.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, e, back)
	}
	assert.Len(t, seen, 24)
}

// drawFacts makes facts that may leave by any exit.
func drawFacts(t *rapid.T, trigger int) survey.Facts {
	often := func(name string) bool { return rapid.IntRange(0, 9).Draw(t, name) == 0 }
	f := askable()
	f.Contact.ID = fmt.Sprint("contact-", trigger)
	f.Event = rapid.SampledFrom([]survey.TriggerEvent{survey.ConversationResolved, survey.ConversationResolved, survey.API, survey.Manual}).Draw(t, "event")
	f.Now = start.Add(time.Duration(rapid.Int64Range(-48, 24*95).Draw(t, "hours")) * time.Hour)
	f.TriggeredAt = f.Now
	f.Contact.Language = rapid.SampledFrom([]string{"en", "de", "de-AT", "fi"}).Draw(t, "language")
	f.Contact.Consent = rapid.SampledFrom([]survey.ConsentState{"", "", survey.ConsentOptedIn, survey.ConsentOptedOut}).Draw(t, "consent")
	f.Conversation.AutoResolved = often("auto")
	f.Stopped, f.Ledger.Already, f.Outranked = often("stopped"), often("already"), often("outranked")
	if often("campaign") {
		f.Ledger.Campaign.Sent = f.Now.AddDate(0, 0, -rapid.IntRange(1, 100).Draw(t, "days"))
	}
	if often("group") {
		f.Ledger.Group.Sent = f.Now.AddDate(0, 0, -rapid.IntRange(1, 20).Draw(t, "days"))
	}
	for i := range f.Channels {
		f.Channels[i].Reachable = !often("unreachable")
		f.Channels[i].Attended = often("attended")
		if often("survey") {
			f.Channels[i].SurveyUntil = f.Now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "hours")) * time.Hour)
		}
	}
	f.Channels[1].WindowUntil = f.Now.Add(time.Duration(rapid.IntRange(0, 24).Draw(t, "window")) * time.Hour)
	return f
}

// Random histories: triggers come, are deferred,
// decided again with changed facts, asked, answered. After each step the funnel
// adds up, and it never loses a trigger.
func TestFunnelAddsUpInEveryHistory(t *testing.T) {
	c := nps()
	c.Trigger.Schedule, c.Trigger.Exclude.AutoResolved = "cx/hours", true
	c.Sampling.Rate, c.Holdout.Fraction = "70%", "10%"
	c.Frequency.OnThrottled = survey.ThrottledDefer
	p := compile(t, c)
	rapid.Check(t, func(t *rapid.T) {
		var funnel survey.Funnel
		triggers, ended := 0, 0
		for trigger := range rapid.IntRange(1, 30).Draw(t, "triggers") {
			f := drawFacts(t, trigger)
			d := survey.Decide(p, &f)
			funnel.Count(d, false)
			if d.Exit == survey.OtherTrigger {
				continue
			}
			triggers++
			first := d.Assignment
			for range 6 {
				if d.Exit.Final() {
					break
				}
				require.True(t, d.Until.After(f.Now), "a deferral lies ahead")
				f.Now = d.Until
				f.Reopened = f.Reopened || rapid.IntRange(0, 9).Draw(t, "reopened") == 0
				f.Channels[0].SurveyUntil, f.Channels[1].SurveyUntil = time.Time{}, time.Time{}
				d = survey.Decide(p, &f)
				funnel.Count(d, true)
				require.Equal(t, first, d.Assignment, "an assignment does not change")
				require.NoError(t, funnel.Balanced())
			}
			if d.Exit.Final() {
				ended++
			}
			if d.Exit == survey.Asked {
				funnel.Delivered++
				if rapid.Bool().Draw(t, "answers") {
					funnel.Answered++
				}
			}
			require.NoError(t, funnel.Balanced())
		}
		require.Equal(t, triggers, funnel.Triggered)
		require.Equal(t, triggers-ended, funnel.Pending)
	})
}

func TestFunnelThatDoesNotAddUpSaysWhere(t *testing.T) {
	var f survey.Funnel
	f.Count(survey.Decision{Exit: survey.Asked}, false)
	require.NoError(t, f.Balanced())
	f.Answered = 2
	assert.ErrorContains(t, f.Balanced(), "answered")
	f.Answered, f.Asked = 0, 0
	assert.ErrorContains(t, f.Balanced(), "sampled")
}

func TestCampaignsThatCompeteAreMostlyThrottled(t *testing.T) {
	var f survey.Funnel
	assert.False(t, f.MostlyThrottled())
	f.Count(survey.Decision{Exit: survey.Asked}, false)
	f.Count(survey.Decision{Exit: survey.GroupCooldown}, false)
	assert.False(t, f.MostlyThrottled(), "half")
	f.Count(survey.Decision{Exit: survey.Outranked}, false)
	assert.True(t, f.MostlyThrottled())
}

func TestDecideDoesNotAllocateWithoutCEL(t *testing.T) {
	c := nps()
	c.Sampling.Rate, c.Holdout.Fraction = "99%", "1%"
	c.Audience.Matches = []survey.Match{{Labels: map[string]string{"brand": "acme"}, Languages: []string{"de"}}}
	p, f := compile(t, c), askable()
	require.Equal(t, survey.Asked, survey.Decide(p, &f).Exit)
	assert.Zero(t, testing.AllocsPerRun(100, func() { survey.Decide(p, &f) }))
}

// BenchmarkDecide goes all the way: three draws, both clocks, two channels.
func BenchmarkDecide(b *testing.B) {
	c := nps()
	c.Sampling.Rate, c.Holdout.Fraction = "99%", "1%"
	c.Arms = []survey.Arm{{Name: "a", Weight: 1, Channels: []string{"cx/telegram"}}, {Name: "b", Weight: 1, Channels: []string{"cx/messenger"}}}
	structured, cel := c, c
	structured.Audience.Matches = []survey.Match{{Labels: map[string]string{"brand": "acme"}, Languages: []string{"de"}}}
	cel.Audience.Matches = []survey.Match{{Expression: `contact.attributes.?tier.orValue("") == "gold"`}}
	for name, campaign := range map[string]survey.Campaign{"structured": structured, "cel": cel} {
		b.Run(name, func(b *testing.B) {
			p, f := compile(b, campaign), askable()
			b.ReportAllocs()
			for b.Loop() {
				if survey.Decide(p, &f).Exit != survey.Asked {
					b.Fatal("not asked")
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

// Nobody can tell when a conversation will be solved: it is looked at again, up to the
// last moment at which a question may wait, and not before the question is due.
func TestAQuestionWaitsUntilNobodyHelpsTheContact(t *testing.T) {
	c := nps()
	c.Trigger.MaxDefer = 24 * hour
	p := compile(t, c)
	f := askable()
	f.Channels = f.Channels[:1]
	f.Channels[0].Attended = true
	d := survey.Decide(p, &f)
	assert.Equal(t, survey.DeferConversationOpen, d.Because)
	assert.Equal(t, noon.Add(time.Hour), d.Until)

	f.Now = noon.Add(23*time.Hour + 30*time.Minute)
	d = survey.Decide(p, &f)
	assert.Equal(t, noon.Add(24*time.Hour), d.Until, "a last time")
	f.Now = d.Until
	assert.Equal(t, survey.ConversationOpen, survey.Decide(p, &f).Exit)
	f.Channels[0].Attended = false
	assert.Equal(t, survey.Asked, survey.Decide(p, &f).Exit)

	f.Now, f.Channels[0].Attended = noon.Add(-30*time.Minute), true
	assert.Equal(t, survey.DeferDelay, survey.Decide(p, &f).Because)
}
