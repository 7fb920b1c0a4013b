package survey

import "slices"

const (
	// CaveatReachDiffers: the arms ask on other channels, or at another time, and
	// those drawn who could be asked there are other people: their shares differ, or
	// the channels do and not nearly all were reached on them. Who answered in each is
	// another kind of people then (those who use that channel, say), and a difference
	// may come from that alone. No verdict is given for it.
	CaveatReachDiffers Caveat = "ReachDiffers"
)

// checkReach takes the verdict from a comparison of scores whose arms
// reached other kinds of people than each other. Outcomes (repeat contact,
// opt-outs) are of all who were drawn, reached or not, and need no such check.
func (a *aggregation) checkReach(c *ComparisonResult) {
	declared := c.Compare == CompareArms && c.Metric == MetricScore || c.Compare == CompareDifferences
	find := func(name string) int {
		return slices.IndexFunc(a.p.arms, func(arm arm) bool { return arm.name == name })
	}
	i, j := find(c.First), find(c.Second)
	if !declared || i < 0 || j < 0 || !a.reachDiffers(i, j) {
		return
	}
	c.Caveats = append(c.Caveats, CaveatReachDiffers)
	if c.Verdict == VerdictHigher || c.Verdict == VerdictLower {
		c.Verdict = VerdictInconclusive
	}
}

// mostUnreached is the share of those who came as far as the choice of a channel, and
// were not asked because of it, beyond which arms on channels of their own are not
// compared. Of who was not asked nobody knows what they would have said: 5 % who say
// the opposite move an NPS by 10 points at most; where half of each arm was not
// reached, the rest are those who use that channel.
const mostUnreached = 0.05

// reachDiffers says whether two arms that are not reached alike asked other kinds of
// people. Section 3.5 of the research on surveys has non-response tested, by the
// shares of those drawn, here at 5 %. On channels of their own equal shares prove
// nothing, since they are of who uses the one channel and of who uses the other: there
// nearly all have to be reached. Who was asked several times is one that was.
func (a *aggregation) reachDiffers(i, j int) bool {
	x, y := &a.p.arms[i], &a.p.arms[j]
	same := sameChannels(x.channels, y.channels)
	switch {
	case max(i, j) >= len(a.data.Arms) || same && x.delay == y.delay:
		return false
	case !same && a.data.Funnel.unreached() > mostUnreached:
		return true
	}
	m, n := a.data.Arms[i], a.data.Arms[j]
	return ProportionDifference(min(m.Asked, m.Assigned), m.Assigned, min(n.Asked, n.Assigned), n.Assigned, 0.95).P < 0.05
}

// unreached is the share of questions that no channel took, of all that were not
// throttled; 0 where there were none. Cool-downs do not ask for the channel.
func (f *Funnel) unreached() float64 {
	lost := f.Exits[Unreachable] + f.Exits[WindowClosed] + f.Exits[SurveyOpen] + f.Exits[ConversationOpen]
	if lost == 0 {
		return 0
	}
	return float64(lost) / float64(lost+f.Asked)
}

// sameChannels says that two lists have the same channels, in any order.
func sameChannels(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
