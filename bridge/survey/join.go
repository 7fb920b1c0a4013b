package survey

import "time"

// Draw is where the draws of a campaign put a contact, and what came of it.
type Draw struct {
	Assignment
	At    time.Time // when it was drawn first; zero: never, and the rest means nothing
	Asked bool      // a question went out by this draw
}

// left says that a draw is of a contact who was asked in two arms: nobody else is
// asked who is neither sampled nor held out.
func (d Draw) left() bool { return !d.At.IsZero() && d.Asked && !d.Sampled && !d.HeldOut }

// JoinDraws is for two contacts that turn out to be one person, each with a draw
// of its own. The draw by which they were asked holds, since it has had its effect;
// of two draws without one, or by which both were asked alike, the earlier. Who was
// asked in two arms belongs to neither (left): they are in no comparison, and are
// not asked any more, as another question would be of a third kind; nor does a
// third contact bring them back. Neither the order of the two matters, nor, of three
// and more contacts, who is joined first.
func JoinDraws(a, b Draw) (kept Draw, left bool) {
	if b.At.IsZero() || !a.At.IsZero() && earlierDraw(a, b) {
		a, b = b, a
	}
	// b is the one that holds: drawn, and the earlier of two.
	switch {
	case b.At.IsZero():
		return Draw{}, false
	case a.At.IsZero():
		return b, b.left()
	case a.Asked && b.Asked && (a.left() || b.left() || a.Arm != b.Arm):
		return Draw{At: b.At, Asked: true}, true
	case a.Asked && !b.Asked:
		return a, a.left()
	}
	return b, b.left()
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
