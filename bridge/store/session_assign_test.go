package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAssignChannelsBalancesAndMovesAsFewAsPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"s0", "s1", "s2", "s3", "s4"}
		live := names[:rapid.IntRange(1, 4).Draw(t, "live")]
		holders := append([]string{""}, names...)
		current := make([]holding, rapid.IntRange(0, 60).Draw(t, "channels"))
		for i := range current {
			current[i] = holding{Channel: fmt.Sprintf("ns/c%d", i), Holder: rapid.SampledFrom(holders).Draw(t, "holder")}
		}
		after := map[string]string{}
		for _, h := range current {
			after[h.Channel] = h.Holder
		}

		changes := assignChannels(current, live)

		for _, c := range changes {
			require.NotEqual(t, after[c.Channel], c.Holder, "a change changes something")
			after[c.Channel] = c.Holder
		}
		load := map[string]int{}
		for channel, holder := range after {
			require.Contains(t, live, holder, "channel %s has a live holder", channel)
			load[holder]++
		}
		for _, s := range live {
			require.GreaterOrEqual(t, load[s], len(current)/len(live))
			require.LessOrEqual(t, load[s], (len(current)+len(live)-1)/len(live))
		}
		require.Len(t, changes, fewestMoves(current, live))
		require.Empty(t, assignChannels(holdingsOf(after), live), "a balanced assignment stays")
	})
}

// fewestMoves counts what has no live holder and what is above the shares,
// the largest shares given to those who hold most.
func fewestMoves(current []holding, live []string) int {
	load := map[string]int{}
	moves := 0
	for _, h := range current {
		if slices.Contains(live, h.Holder) {
			load[h.Holder]++
		} else {
			moves++
		}
	}
	var loads []int
	for _, s := range live {
		loads = append(loads, load[s])
	}
	slices.Sort(loads)
	slices.Reverse(loads)
	for i, l := range loads {
		share := len(current) / len(live)
		if i < len(current)%len(live) {
			share++
		}
		moves += max(0, l-share)
	}
	return moves
}

func holdingsOf(m map[string]string) []holding {
	var hs []holding
	for c, s := range m {
		hs = append(hs, holding{c, s})
	}
	return hs
}

func TestAssignChannelsWithoutSessionsChangesNothing(t *testing.T) {
	require.Empty(t, assignChannels([]holding{{"ns/a", "dead"}}, nil))
}

func TestBackoffIsBoundedAndGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1<<30).Draw(t, "attempt")
		draw := rapid.Float64Range(0, 0.999999).Draw(t, "draw")
		d := backoff(n, retryCap, draw)
		require.GreaterOrEqual(t, d, retryFloor)
		require.LessOrEqual(t, d, retryCap)
		require.GreaterOrEqual(t, backoff(n+1, retryCap, draw), d)
	})
	require.Equal(t, time.Second/2, backoff(1, retryCap, 0.5))
	require.Equal(t, 2*time.Second, backoff(3, retryCap, 0.5))
	require.Equal(t, retryCap/2, backoff(12, retryCap, 0.5))
}

// Whoever takes as fast as the bucket allows gets burst + rate×T in any T.
func TestBucketKeepsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.5, 200).Draw(t, "rate")
		start := time.Unix(1_700_000_000, 0)
		now, b, taken, most := start, bucket{}, 0.0, 1.0
		for now.Sub(start) < 10*time.Second {
			b = b.refill(now, rate)
			if b.tokens >= 1 {
				cost := float64(rapid.IntRange(1, 3).Draw(t, "parts"))
				b.tokens -= cost
				taken += cost
				most = max(most, cost)
				continue
			}
			wait := b.readyIn(rate)
			require.Positive(t, wait)
			now = now.Add(wait)
		}
		elapsed := now.Sub(start).Seconds()
		require.LessOrEqual(t, taken, max(1, rate*burstSeconds)+rate*elapsed+most)
		require.GreaterOrEqual(t, taken, rate*10-most, "and does not fall behind it")
	})
}

func TestBucketSurvivesAClockSetBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := bucket{tokens: 0, refilled: now}.refill(now.Add(-time.Hour), 10)
	require.Zero(t, b.tokens)
	require.InDelta(t, 1, b.refill(now.Add(-time.Hour+100*time.Millisecond), 10).tokens, 1e-6)
}
