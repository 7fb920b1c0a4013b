package schedule

import (
	"slices"
	"time"
)

const secondsPerDay = 24 * 60 * 60

// Schedule is a compiled Spec. It is immutable and safe for concurrent use.
type Schedule struct {
	zone     string
	location *time.Location
	week     [7][]span      // by time.Weekday
	dates    map[day][]span // exceptions and holidays; nil: closed
	special  []day          // the keys of dates, sorted
}

// TimeZone is the IANA name of the schedule's zone.
func (s *Schedule) TimeZone() string { return s.zone }

// Open reports whether the schedule is open at t.
func (s *Schedule) Open(t time.Time) bool {
	p, ok := s.firstEndingAfter(t.Unix(), s.dayOf(t.Unix())+1)
	return ok && p.from <= t.Unix()
}

// NextTransition is the first instant after t at which Open changes, in UTC. It
// reports false when that never happens: the schedule is always open, or has
// only dated hours and they are over.
func (s *Schedule) NextTransition(t time.Time) (time.Time, bool) {
	now := t.Unix()
	first, ok := s.firstEndingAfter(now, s.horizon(now))
	if !ok {
		return time.Time{}, false
	}
	if first.from > now {
		return time.Unix(first.from, 0).UTC(), true
	}
	end, ok := s.closing(first)
	return end, ok
}

// period is open time on instants, Unix seconds, half-open.
type period struct{ from, to int64 }

// spans are the hours of a date.
func (s *Schedule) spans(d day) []span {
	if spans, ok := s.dates[d]; ok {
		return spans
	}
	// 1970-01-01 was a Thursday.
	return s.week[((int64(d)+int64(time.Thursday))%7+7)%7]
}

// firstEndingAfter is the first interval, as written, that ends after t, on
// dates up to last.
func (s *Schedule) firstEndingAfter(t int64, last day) (period, bool) {
	// The dates before the one on the wall have ended when it was first shown. The date
	// after can have begun already: where clocks go back across midnight. So who
	// looks for an instant must look a day on.
	for d := s.dayOf(t); d <= last; d++ {
		for _, sp := range s.spans(d) {
			if p := s.period(d, sp); p.to > t && p.to > p.from {
				return p, true
			}
		}
	}
	return period{}, false
}

// closing is the end of the open time that p is in: intervals that touch, also
// over midnight, are one.
func (s *Schedule) closing(p period) (time.Time, bool) {
	horizon := s.horizon(p.to)
	for {
		next, ok := s.firstEndingAfter(p.to, min(s.dayOf(p.to)+1, horizon))
		if !ok || next.from > p.to {
			return time.Unix(p.to, 0).UTC(), true
		}
		if s.dayOf(next.to) >= horizon {
			return time.Time{}, false // open through every date that is special, and a month on
		}
		p = next
	}
}

// horizon is a date after which the weeks only repeat: everything that will
// ever happen has happened once by then. A month covers a weekly interval that
// a change of clocks swallows.
func (s *Schedule) horizon(t int64) day {
	last := s.dayOf(t)
	if n := len(s.special); n > 0 {
		last = max(last, s.special[n-1])
	}
	return last + 31
}

func (s *Schedule) everOpen() bool {
	for _, spans := range s.week {
		if len(spans) > 0 {
			return true
		}
	}
	for date, spans := range s.dates {
		if slices.ContainsFunc(spans, func(sp span) bool { p := s.period(date, sp); return p.to > p.from }) {
			return true
		}
	}
	return false
}

// dayOf is the date on the wall at t.
func (s *Schedule) dayOf(t int64) day {
	_, offset := time.Unix(t, 0).In(s.location).Zone()
	return day(floorDiv(t+int64(offset), secondsPerDay))
}

func (s *Schedule) period(d day, sp span) period {
	return period{s.instant(d, sp.from), s.instant(d, sp.to)}
}

// instant is the first instant at which the wall shows the given date and
// minute or a later one (see the package's documentation).
func (s *Schedule) instant(d day, minute int16) int64 {
	wall := int64(d)*secondsPerDay + int64(minute)*60
	// No zone was ever more than 16 hours off, so this is before.
	t := wall - 16*60*60
	for {
		zoned := time.Unix(t, 0).In(s.location)
		_, offset := zoned.Zone()
		_, end := zoned.ZoneBounds()
		shown := wall - int64(offset)
		if shown <= t {
			return t // the change of clocks jumped over it
		}
		if end.IsZero() || shown < end.Unix() {
			return shown
		}
		t = end.Unix()
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
