package survey

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOfTwoDrawsTheOneThatHadItsEffectHolds(t *testing.T) {
	first, second := time.UnixMilli(1000), time.UnixMilli(2000)
	draw := func(arm int, at time.Time, asked bool) Draw {
		return Draw{Assignment: Assignment{Arm: arm, Sampled: true}, At: at, Asked: asked}
	}
	held := Draw{Assignment: Assignment{HeldOut: true}, At: first}
	for name, c := range map[string]struct {
		a, b, want Draw
		left       bool
	}{
		"nobody was drawn":                 {},
		"one was drawn":                    {b: draw(1, second, false), want: draw(1, second, false)},
		"the earlier one":                  {a: draw(0, first, false), b: draw(1, second, false), want: draw(0, first, false)},
		"the one that was asked":           {a: draw(0, first, false), b: draw(1, second, true), want: draw(1, second, true)},
		"held out, and asked all the same": {a: held, b: draw(1, second, true), want: draw(1, second, true)},
		"asked alike":                      {a: draw(1, first, true), b: draw(1, second, true), want: draw(1, first, true)},
		"asked in two arms":                {a: draw(0, first, true), b: draw(1, second, true), want: Draw{Assignment: Assignment{}, At: first, Asked: true}, left: true},
	} {
		kept, left := JoinDraws(c.a, c.b)
		require.Equal(t, c.want, kept, name)
		require.Equal(t, c.left, left, name)
	}
}

// Whoever is merged into whom, and in which order: the draw is the same.
func TestJoinedDrawsDoNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string) Draw {
			d := Draw{Asked: rapid.Bool().Draw(rt, name+" asked")}
			if at := rapid.IntRange(0, 3).Draw(rt, name+" at"); at > 0 {
				d.At = time.UnixMilli(int64(at))
				d.Arm, d.Sampled, d.HeldOut = rapid.IntRange(0, 2).Draw(rt, name+" arm"), rapid.Bool().Draw(rt, name+" sampled"), rapid.Bool().Draw(rt, name+" held")
			} else {
				d.Asked = false
			}
			return d
		}
		a, b := draw("a"), draw("b")
		kept, left := JoinDraws(a, b)
		turned, leftToo := JoinDraws(b, a)
		require.Equal(rt, kept, turned)
		require.Equal(rt, left, leftToo)
		require.Equal(rt, left, a.Asked && b.Asked && a.Arm != b.Arm)
		if !left {
			require.Contains(rt, []Assignment{a.Assignment, b.Assignment}, kept.Assignment, "one of the two, as it was")
		} else {
			require.False(rt, kept.Sampled || kept.HeldOut, "nobody asks them any more")
		}
	})
}
