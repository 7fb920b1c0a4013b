package survey

import "slices"

const (
	// CaveatReachDiffers: the arms ask on other channels, or at another time, and
	// the shares of those drawn who could be asked there differ: who answered in each
	// is another kind of people (those who use that channel, say), and a difference
	// may come from that alone. No verdict is given for it.
	CaveatReachDiffers Caveat = "ReachDiffers"
)

// checkReach takes the verdict from a comparison of scores whose arms reached
// different shares of those that were drawn for them. Outcomes (repeat contact,
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

// reachDiffers tests, at 5 %, the shares of those drawn who were asked in two arms
// that are not reached alike. Who was asked several times is one that was.
func (a *aggregation) reachDiffers(i, j int) bool {
	x, y := &a.p.arms[i], &a.p.arms[j]
	if max(i, j) >= len(a.data.Arms) || sameChannels(x.channels, y.channels) && x.delay == y.delay {
		return false
	}
	m, n := a.data.Arms[i], a.data.Arms[j]
	return ProportionDifference(min(m.Asked, m.Assigned), m.Assigned, min(n.Asked, n.Assigned), n.Assigned, 0.95).P < 0.05
}

// sameChannels says that two lists have the same channels, in any order.
func sameChannels(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
