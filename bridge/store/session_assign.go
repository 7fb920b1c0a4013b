package store

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// holding is a channel and the session that has it; empty: nobody.
type holding struct {
	Channel string
	Holder  string
}

// assignChannels spreads channels over the live sessions of a bridge and
// returns the holdings that change. A channel stays with its holder as long as
// that one is alive and has no more than its share, so that a session that
// joins, leaves or dies moves no more channels than it must; shares differ by
// at most one. Which channels move, and where to, follows from rendezvous
// hashing, so that every store replica decides the same.
func assignChannels(current []holding, live []string) []holding {
	if len(live) == 0 {
		return nil
	}
	held := make(map[string][]string, len(live))
	for _, s := range live {
		held[s] = nil
	}
	var free []string
	for _, h := range current {
		if _, ok := held[h.Holder]; ok {
			held[h.Holder] = append(held[h.Holder], h.Channel)
		} else {
			free = append(free, h.Channel)
		}
	}
	room := shares(held, len(current), live)
	for _, s := range live {
		if over := -room[s]; over > 0 {
			free = append(free, leastFitting(held[s], s, over)...)
			room[s] = 0
		}
	}
	slices.Sort(free)
	changes := make([]holding, 0, len(free))
	for _, channel := range free {
		s := bestFitting(channel, live, room)
		room[s]--
		changes = append(changes, holding{Channel: channel, Holder: s})
	}
	return changes
}

// shares is how many channels each session still takes (negative: gives
// away). When they do not divide evenly, the sessions that have most keep the
// odd ones.
func shares(held map[string][]string, channels int, live []string) map[string]int {
	base, odd := channels/len(live), channels%len(live)
	order := slices.Clone(live)
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(held[b]), len(held[a])), cmp.Compare(a, b))
	})
	room := make(map[string]int, len(live))
	for i, s := range order {
		room[s] = base - len(held[s])
		if i < odd {
			room[s]++
		}
	}
	return room
}

func leastFitting(channels []string, session string, n int) []string {
	sorted := slices.Clone(channels)
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(a, session), weight(b, session)), cmp.Compare(a, b))
	})
	return sorted[:n]
}

func bestFitting(channel string, live []string, room map[string]int) string {
	best, bestWeight := "", uint64(0)
	for _, s := range live {
		if w := weight(channel, s); room[s] > 0 && (best == "" || w > bestWeight || w == bestWeight && s < best) {
			best, bestWeight = s, w
		}
	}
	return best
}

// weight is the rendezvous weight of a session for a channel.
func weight(channel, session string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(channel))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(session))
	// FNV mixes its last bytes badly into the high bits; this finaliser (of
	// SplitMix64) spreads them, without it sessions named -0, -1 are unequal.
	x := h.Sum64()
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
