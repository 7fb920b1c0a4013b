package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Havana", "America/Santiago", "America/Sao_Paulo",
	"Asia/Kathmandu", "Asia/Tehran", "Asia/Beirut", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia",
}

// moments are near changes of clocks as often as not.
func drawMoment(t *rapid.T, zone string) time.Time {
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	moment := time.Unix(rapid.Int64Range(1_293_840_000, 1_924_992_000).Draw(t, "unix"), 0).UTC() // 2011 to 2030
	if rapid.Bool().Draw(t, "near a change") {
		if _, end := moment.In(location).ZoneBounds(); !end.IsZero() {
			moment = end.Add(time.Duration(rapid.IntRange(-1800, 1800).Draw(t, "minutes off")) * time.Minute).UTC()
		}
	}
	return moment
}

func drawSpec(t *rapid.T) Spec {
	spec := Spec{TimeZone: rapid.SampledFrom(zones).Draw(t, "zone")}
	clock := func(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
	for _, d := range allDays {
		cuts := rapid.SliceOfNDistinct(rapid.IntRange(0, 48), 0, 6, rapid.ID).Draw(t, string(d))
		for i := range cuts { // insertion sort: few
			for j := i; j > 0 && cuts[j] < cuts[j-1]; j-- {
				cuts[j], cuts[j-1] = cuts[j-1], cuts[j]
			}
		}
		for i := 0; i+1 < len(cuts); i += 2 {
			spec.Weekly = append(spec.Weekly, Weekly{Days: []Day{d}, From: clock(cuts[i] * 30), To: clock(cuts[i+1] * 30)})
		}
	}
	spec.Weekly = append(spec.Weekly, Weekly{Days: []Day{Monday}, From: "23:59", To: "24:00"})
	for i, interval := range spec.Weekly[:len(spec.Weekly)-1] {
		if interval.To == "24:00" && interval.Days[0] == Monday {
			spec.Weekly[i].To = "23:59"
		}
	}
	return spec
}

// oracleOpen asks the rule of the package's documentation of every minute:
// an end of an interval is the first minute whose wall shows it or a later one.
func oracleInstant(location *time.Location, d day, minute int16) time.Time {
	wall := time.Unix(int64(d)*secondsPerDay, 0).UTC().Add(time.Duration(minute) * time.Minute)
	for t := wall.Add(-27 * time.Hour); ; t = t.Add(time.Minute) {
		_, offset := t.In(location).Zone()
		if !t.Add(time.Duration(offset) * time.Second).Before(wall) {
			return t
		}
	}
}

func TestInstantIsTheFirstMinuteThatShowsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		s := compile(t, always(zone))
		d := s.dayOf(drawMoment(t, zone).Unix())
		minute := int16(rapid.IntRange(0, 24*60).Draw(t, "minute"))
		require.Equal(t, oracleInstant(s.location, d, minute), time.Unix(s.instant(d, minute), 0).UTC())
	})
}

func TestArithmeticAgreesWithOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		s := compile(t, spec)
		from := drawMoment(t, spec.TimeZone).Truncate(time.Minute)
		minutes := rapid.IntRange(0, 3000).Draw(t, "minutes")
		to := from.Add(time.Duration(minutes) * time.Minute)
		var open time.Duration
		for at := from; at.Before(to); at = at.Add(time.Minute) {
			if s.Open(at) {
				open += time.Minute
			}
		}
		require.Equal(t, open, s.BusinessBetween(from, to))
	})
}

func TestAddBusinessIsTheFirstInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		s := compile(t, spec)
		from := drawMoment(t, spec.TimeZone)
		d := time.Duration(rapid.Int64Range(1, int64(50*time.Hour)).Draw(t, "d"))
		got, ok := s.AddBusiness(from, d)
		require.True(t, ok)
		require.Equal(t, d, s.BusinessBetween(from, got))
		require.Less(t, s.BusinessBetween(from, got.Add(-1)), d, "an earlier instant would do")
	})
}

func TestNextTransitionIsTheFirstChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		s := compile(t, spec)
		now := drawMoment(t, spec.TimeZone).Truncate(time.Minute)
		next, ok := s.NextTransition(now)
		require.True(t, ok)
		require.True(t, next.After(now))
		require.NotEqual(t, s.Open(now), s.Open(next))
		require.Equal(t, s.Open(now), s.Open(next.Add(-time.Second)))
		limit := next
		if day := now.Add(24 * time.Hour); day.Before(limit) {
			limit = day
		}
		for at := now; at.Before(limit); at = at.Add(time.Minute) {
			require.Equal(t, s.Open(now), s.Open(at), "changes at %s, before %s", at, next)
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add("Europe/Berlin", "08:00", "12:00", "2026-12-24", "Mon")
	f.Add("UTC", "00:00", "24:00", "2026-02-30", "Sun")
	f.Add("Local", "24:00", "00:00", "", "")
	f.Add("America/Havana", "23:59", "24:00", "2199-12-31", "Fri")
	f.Fuzz(func(t *testing.T, zone, from, to, date, weekday string) {
		s, err := Compile(Spec{TimeZone: zone, Weekly: []Weekly{{Days: []Day{Day(weekday)}, From: from, To: to}}, Exceptions: []Exception{{Date: date, From: from, To: to}}})
		if err != nil {
			return
		}
		now := time.Unix(1_795_000_000, 0)
		next, ok := s.NextTransition(now)
		if ok && s.Open(next) == s.Open(now) {
			t.Fatalf("nothing changes at %s", next)
		}
		if due, ok := s.AddBusiness(now, time.Hour); ok && s.BusinessBetween(now, due) != time.Hour {
			t.Fatalf("an hour from %s is not %s", now, due)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := compile(b, nineToFive("Europe/Berlin"))
	now := time.Unix(1_795_000_000, 0)
	for b.Loop() {
		s.Open(now)
	}
}

func BenchmarkAddBusinessWeek(b *testing.B) {
	s := compile(b, nineToFive("Europe/Berlin"))
	now := time.Unix(1_795_000_000, 0)
	for b.Loop() {
		s.AddBusiness(now, 40*time.Hour)
	}
}
