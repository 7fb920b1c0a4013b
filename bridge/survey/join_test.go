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
		"asked in two arms":                {a: draw(0, first, true), b: draw(1, second, true), want: Draw{At: first, Asked: true}, left: true},
		"asked in two arms, and again":     {a: Draw{At: second, Asked: true}, b: draw(0, first, true), want: Draw{At: first, Asked: true}, left: true},
		"asked in two arms, and drawn":     {a: Draw{At: second, Asked: true}, b: draw(0, first, false), want: Draw{At: second, Asked: true}, left: true},
	} {
		kept, left := JoinDraws(c.a, c.b)
		require.Equal(t, c.want, kept, name)
		require.Equal(t, c.left, left, name)
	}
}

// drawDraw makes what can be known of a contact: who was asked was sampled, or has
// been asked in two arms.
func drawDraw(rt *rapid.T, name string) Draw {
	at := rapid.IntRange(0, 3).Draw(rt, name+" at")
	if at == 0 {
		return Draw{}
	}
	d := Draw{At: time.UnixMilli(int64(at)), Asked: rapid.Bool().Draw(rt, name+" asked")}
	if d.Asked && rapid.IntRange(0, 4).Draw(rt, name+" left") == 0 {
		return d
	}
	d.Arm, d.HeldOut = rapid.IntRange(0, 2).Draw(rt, name+" arm"), !d.Asked && rapid.Bool().Draw(rt, name+" held")
	d.Sampled = d.Asked || !d.HeldOut && rapid.Bool().Draw(rt, name+" sampled")
	return d
}

// Whoever is merged into whom, and in which order: the draw is the same.
func TestJoinedDrawsDoNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b, c := drawDraw(rt, "a"), drawDraw(rt, "b"), drawDraw(rt, "c")
		kept, left := JoinDraws(a, b)
		turned, leftToo := JoinDraws(b, a)
		require.Equal(rt, kept, turned)
		require.Equal(rt, left, leftToo)
		require.Equal(rt, left, a.left() || b.left() || a.Asked && b.Asked && a.Arm != b.Arm)
		if !left {
			require.Contains(rt, []Draw{a, b}, kept, "one of the two, as it was")
		} else {
			require.True(rt, kept.left(), "nobody asks them any more, and a third one sees it")
		}

		first, leftFirst := JoinDraws(kept, c)
		other, _ := JoinDraws(b, c)
		last, leftLast := JoinDraws(a, other)
		require.Equal(rt, first, last, "whoever of three is merged first")
		require.Equal(rt, leftFirst, leftLast)
		require.True(rt, !left || leftFirst, "who left does not come back")
	})
}
