package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	// The image may have no zoneinfo; a schedule must not depend on it.
	_ "time/tzdata"
)

// span is open time on the wall of one date, in minutes since midnight.
type span struct{ from, to int16 }

// day numbers dates: days since 1970-01-01.
type day int64

// compilation collects what is found in a spec.
type compilation struct {
	schedule *Schedule
	errs     []error
}

func (c *compilation) reportf(field, format string, args ...any) {
	c.errs = append(c.errs, fieldErrorf(field, format, args...))
}

// Compile checks a spec. Its error joins every mistake, each a *FieldError;
// with an error the schedule is nil. A spec without any open minute is a
// mistake: everything that waits for it would wait for ever.
func Compile(spec Spec) (*Schedule, error) {
	c := &compilation{schedule: &Schedule{zone: spec.TimeZone, dates: map[day][]span{}}}
	c.zone(spec.TimeZone)
	c.bounds(spec)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	c.weekly(spec.Weekly)
	c.holidays(spec.HolidaySets)
	c.exceptions(spec.Exceptions)
	if len(c.errs) == 0 && !c.schedule.everOpen() {
		c.reportf("weekly", "has no open minute; give the schedule at least one interval, or remove it")
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	for date := range c.schedule.dates {
		c.schedule.special = append(c.schedule.special, date)
	}
	slices.Sort(c.schedule.special)
	return c.schedule, nil
}

func (c *compilation) zone(name string) {
	// "Local" is whatever the pod's machine has, "" is UTC by accident.
	if name == "" || name == "Local" {
		c.reportf("timeZone", "%q is not an IANA time zone; write one like Europe/Berlin or UTC", name)
		return
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		c.reportf("timeZone", "%q is not an IANA time zone; write one like Europe/Berlin or UTC", name)
		return
	}
	c.schedule.location = location
}

func (c *compilation) bounds(spec Spec) {
	limit := func(field string, n, limit int) {
		if n > limit {
			c.reportf(field, "has %d entries, %d is the limit", n, limit)
		}
	}
	limit("weekly", len(spec.Weekly), MaxWeekly)
	limit("exceptions", len(spec.Exceptions), MaxExceptions)
	limit("holidaySets", len(spec.HolidaySets), MaxHolidaySets)
	for i, set := range spec.HolidaySets {
		limit(fmt.Sprintf("holidaySets[%d].dates", i), len(set.Dates), MaxHolidays)
	}
}

// source remembers where an interval was written, to name both in an overlap.
type source struct {
	span
	field string
}

func (c *compilation) weekly(entries []Weekly) {
	var days [7][]source
	for i, entry := range entries {
		field := fmt.Sprintf("weekly[%d]", i)
		interval, ok := c.interval(field, entry.From, entry.To)
		if len(entry.Days) == 0 {
			c.reportf(field+".days", "is empty; name the days, e.g. [Mon, Tue]")
		}
		for j, name := range entry.Days {
			weekday, known := name.weekday()
			switch {
			case !known:
				c.reportf(fmt.Sprintf("%s.days[%d]", field, j), "%q is not a day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun", name)
			case ok:
				days[weekday] = append(days[weekday], source{interval, field})
			}
		}
	}
	for weekday, sources := range days {
		c.schedule.week[weekday] = c.disjoint(sources)
	}
}

func (c *compilation) holidays(sets []HolidaySet) {
	for i, set := range sets {
		for j, text := range set.Dates {
			date, err := parseDate(text)
			if err != nil {
				c.reportf(fmt.Sprintf("holidaySets[%d].dates[%d]", i, j), "%v", err)
				continue
			}
			c.schedule.dates[date] = nil
		}
	}
}

func (c *compilation) exceptions(entries []Exception) {
	dates := map[day][]source{}
	closed := map[day]string{}
	for i, entry := range entries {
		field := fmt.Sprintf("exceptions[%d]", i)
		date, err := parseDate(entry.Date)
		if err != nil {
			c.reportf(field+".date", "%v", err)
			continue
		}
		if entry.Closed {
			if entry.From != "" || entry.To != "" {
				c.reportf(field, "is closed and has hours; remove closed, or from and to")
			}
			closed[date] = field
			continue
		}
		if interval, ok := c.interval(field, entry.From, entry.To); ok {
			dates[date] = append(dates[date], source{interval, field})
		}
	}
	for date, field := range closed {
		if others := dates[date]; len(others) > 0 {
			c.reportf(field+".closed", "%s has hours for the same date; remove one of the two", others[0].field)
		}
		c.schedule.dates[date] = nil
	}
	for date, sources := range dates {
		c.schedule.dates[date] = c.disjoint(sources)
	}
}

// disjoint sorts the intervals of one date, reports those that overlap and
// joins those that touch.
func (c *compilation) disjoint(sources []source) []span {
	slices.SortFunc(sources, func(a, b source) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var spans []span
	for i, s := range sources {
		last := len(spans) - 1
		switch {
		case last >= 0 && s.from < spans[last].to:
			before := sources[i-1]
			c.reportf(s.field, "%s–%s overlaps %s–%s of %s; make one interval of them", clock(s.from), clock(s.to), clock(before.from), clock(before.to), before.field)
		case last >= 0 && s.from == spans[last].to:
			spans[last].to = s.to
		default:
			spans = append(spans, s.span)
		}
	}
	return spans
}

func (c *compilation) interval(field, from, to string) (span, bool) {
	begin, okFrom := parseClock(from)
	if !okFrom || begin == 24*60 {
		c.reportf(field+".from", "%q is not a time of day; write it as HH:MM, 00:00 to 23:59", from)
		okFrom = false
	}
	end, okTo := parseClock(to)
	if !okTo {
		c.reportf(field+".to", "%q is not a time of day; write it as HH:MM, up to 24:00", to)
	}
	if !okFrom || !okTo {
		return span{}, false
	}
	if end <= begin {
		c.reportf(field+".to", "%s is not after %s; hours that pass midnight are two intervals, %s–24:00 and, on the next day, 00:00–%s", to, from, from, to)
		return span{}, false
	}
	return span{begin, end}, true
}

func parseClock(text string) (int16, bool) {
	if len(text) != 5 || text[2] != ':' {
		return 0, false
	}
	for _, i := range [4]int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	hours := int16(text[0]-'0')*10 + int16(text[1]-'0')
	minutes := int16(text[3]-'0')*10 + int16(text[4]-'0')
	total := hours*60 + minutes
	return total, minutes < 60 && total <= 24*60
}

func clock(minutes int16) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

func parseDate(text string) (day, error) {
	t, err := time.Parse(time.DateOnly, text)
	// The years bound how far a search can run.
	if err != nil || t.Year() < 1970 || t.Year() > 2199 {
		return 0, fmt.Errorf("%q is not a date; write it as YYYY-MM-DD, between 1970 and 2199", text)
	}
	return day(t.Unix() / secondsPerDay), nil
}
