package survey

import "time"

// Draw is where the draws of a campaign put a contact, and what came of it.
type Draw struct {
	Assignment
	At    time.Time // when it was drawn first; zero: never
	Asked bool      // a question went out
}

// JoinDraws is for two contacts that turn out to be one person, each with a draw
// of its own. The draw by which they were asked holds, since it has had its effect;
// of two draws without one, or by which both were asked alike, the earlier. Who was
// asked in two arms belongs to neither (left): they are in no comparison, and are
// not asked any more, as another question would be of a third kind. The order of
// the two does not matter.
func JoinDraws(a, b Draw) (kept Draw, left bool) {
	if b.At.IsZero() || !a.At.IsZero() && earlierDraw(a, b) {
		a, b = b, a
	}
	// b is the one that holds: drawn, and the earlier of two.
	switch {
	case a.At.IsZero():
		b.Asked = a.Asked || b.Asked
		return b, false
	case a.Asked && b.Asked && a.Arm != b.Arm:
		b.Sampled, b.HeldOut = false, false
		return b, true
	case a.Asked && !b.Asked:
		return a, false
	}
	return b, false
}

// earlierDraw orders two draws: by time, then by what they say, so that the order
// in which they are given makes no difference.
func earlierDraw(a, b Draw) bool {
	if !a.At.Equal(b.At) {
		return a.At.Before(b.At)
	}
	if a.Arm != b.Arm {
		return a.Arm < b.Arm
	}
	if a.HeldOut != b.HeldOut {
		return a.HeldOut
	}
	return a.Sampled && !b.Sampled
}
