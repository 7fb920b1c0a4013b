package schedule

import (
	"math"
	"time"
)

// Reach is how far business time is counted, in either direction: a century. The
// cost of the arithmetic is linear in the days it crosses, about a microsecond
// each, so this bounds it.
const Reach = 100 * 366 * 24 * time.Hour

// AddBusiness is the first instant by which d of open time has passed since t.
// An hour from Friday 16:30 in a week of 9 to 17 is Monday 9:30; half an hour is
// Friday 17:00. With d ≤ 0 it is t itself, also when the schedule is closed. It reports
// false when so much open time never comes (within Reach). The result is in UTC.
func (s *Schedule) AddBusiness(t time.Time, d time.Duration) (time.Time, bool) {
	if d <= 0 {
		return t.UTC(), true
	}
	at := t
	last := min(s.dayOf(t.Unix()+int64(Reach/time.Second)), s.ends(t.Unix()))
	for {
		// Sub-second times floor to a second that is in the same interval: the
		// bounds are whole seconds.
		p, ok := s.firstEndingAfter(at.Unix(), last)
		if !ok {
			return time.Time{}, false
		}
		if from := time.Unix(p.from, 0); from.After(at) {
			at = from
		}
		end := time.Unix(p.to, 0)
		open := end.Sub(at)
		if d <= open {
			return at.Add(d).UTC(), true
		}
		d -= open
		at = end
	}
}

// ends is the last date that can have hours at all, seen from t.
func (s *Schedule) ends(t int64) day {
	for _, spans := range s.week {
		if len(spans) > 0 {
			return day(math.MaxInt64)
		}
	}
	return s.horizon(t)
}

// BusinessBetween is how much of the time from a to b the schedule is open;
// negative when b is before a. Beyond Reach it counts the century next to b.
func (s *Schedule) BusinessBetween(a, b time.Time) time.Duration {
	if b.Before(a) {
		return -s.BusinessBetween(b, a)
	}
	if b.Sub(a) > Reach {
		a = b.Add(-Reach)
	}
	var total time.Duration
	last := min(s.dayOf(b.Unix())+1, s.ends(a.Unix()))
	for at := a; ; {
		p, ok := s.firstEndingAfter(at.Unix(), last)
		from, to := time.Unix(p.from, 0), time.Unix(p.to, 0)
		if !ok || !from.Before(b) {
			return total
		}
		if from.Before(at) {
			from = at
		}
		if to.After(b) {
			to = b
		}
		if to.After(from) {
			total += to.Sub(from)
		}
		if at = time.Unix(p.to, 0); !at.Before(b) {
			return total
		}
	}
}
