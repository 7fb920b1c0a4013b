package survey_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// "People who use Messenger" against "people who mail" is no answer to whether it
// was worth it to offer Messenger, however far apart their scores are.
func TestArmsThatReachDifferentPeopleGetNoVerdict(t *testing.T) {
	far := slices.Concat(give(150, 10, 0), give(50, 2, 0), give(50, 10, 1), give(150, 2, 1))
	verdict := func(change func(*survey.Campaign, *survey.Data)) survey.ComparisonResult {
		c, data := twoArms()
		data.Rows = slices.Values(far)
		change(&c, &data)
		return survey.Aggregate(compile(t, c), data).Comparisons[0]
	}
	few := func(d *survey.Data) { d.Arms[0].Asked = 300 } // of 842; of the others nearly all

	alike := verdict(func(*survey.Campaign, *survey.Data) {})
	assert.Equal(t, survey.VerdictHigher, alike.Verdict)
	assert.NotContains(t, alike.Caveats, survey.CaveatReachDiffers)

	other := verdict(func(_ *survey.Campaign, d *survey.Data) { few(d) })
	assert.Equal(t, survey.VerdictInconclusive, other.Verdict)
	assert.Contains(t, other.Caveats, survey.CaveatReachDiffers)
	assert.False(t, other.Values.NoData(), "what was measured may be seen")
	lower := verdict(func(c *survey.Campaign, d *survey.Data) { few(d); c.Analysis.Baseline = "with-channel" })
	assert.Equal(t, survey.VerdictInconclusive, lower.Verdict)

	words := verdict(func(c *survey.Campaign, d *survey.Data) {
		few(d)
		c.Arms[0].Channels = c.Arms[1].Channels
		c.Trigger.Events = []survey.TriggerEvent{survey.API}
	})
	assert.NotContains(t, words.Caveats, survey.CaveatReachDiffers, "on the same channels, at the same time, chance alone differs")
	half := func(d *survey.Data) {
		d.Arms[0].Asked, d.Arms[1].Asked = 421, 410
		d.Funnel.Asked, d.Funnel.Exits = 831, map[survey.Exit]int{survey.Unreachable: 800, survey.WindowClosed: 30}
	}
	halves := verdict(func(_ *survey.Campaign, d *survey.Data) { half(d) })
	assert.Equal(t, survey.VerdictInconclusive, halves.Verdict, "half of each, on a channel of its own, are other people")
	assert.Contains(t, halves.Caveats, survey.CaveatReachDiffers)
	later := verdict(func(c *survey.Campaign, d *survey.Data) {
		half(d)
		c.Arms[0].Channels, c.Arms[1].Channels = nil, nil
		c.Arms[1].Delay = new(2 * hour)
	})
	assert.NotContains(t, later.Caveats, survey.CaveatReachDiffers, "on the same channels the same share is of the same kind")
	often := verdict(func(_ *survey.Campaign, d *survey.Data) { d.Arms[0].Asked, d.Arms[1].Asked = 2000, 1900 })
	assert.NotContains(t, often.Caveats, survey.CaveatReachDiffers, "asked about each resolution")
	throttled := verdict(func(_ *survey.Campaign, d *survey.Data) {
		half(d)
		d.Funnel.Exits = map[survey.Exit]int{survey.GroupCooldown: 800, survey.Unreachable: 21}
	})
	assert.NotContains(t, throttled.Caveats, survey.CaveatReachDiffers, "a cool-down does not know the channel")
	empty := verdict(func(_ *survey.Campaign, d *survey.Data) { d.Arms = []survey.ArmCounts{{}, {}} })
	assert.NotContains(t, empty.Caveats, survey.CaveatReachDiffers)
}

// An experiment about what another system does by the assignment needs no arms that
// ask differently, if that system alone triggers the campaign.
func TestArmsMayAskAlikeWhereAnotherSystemActsByThem(t *testing.T) {
	c := nps()
	c.Arms = []survey.Arm{{Name: "offered", Weight: 1}, {Name: "not-offered", Weight: 1}}
	_, findings := survey.Compile("cx/nps", c, refs(t))
	assert.NotEmpty(t, findings)
	c.Trigger.Events = []survey.TriggerEvent{survey.API}
	_, findings = survey.Compile("cx/nps", c, refs(t))
	assert.Empty(t, findings)
}
