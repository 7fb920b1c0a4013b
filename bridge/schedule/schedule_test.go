package schedule

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	workdays = []Day{Monday, Tuesday, Wednesday, Thursday, Friday}
	allDays  = []Day{Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday}
)

func nineToFive(zone string) Spec {
	return Spec{TimeZone: zone, Weekly: []Weekly{{Days: workdays, From: "09:00", To: "17:00"}}}
}

func always(zone string) Spec {
	return Spec{TimeZone: zone, Weekly: []Weekly{{Days: allDays, From: "00:00", To: "24:00"}}}
}

func nights(zone, from, to string) Spec {
	return Spec{TimeZone: zone, Weekly: []Weekly{{Days: allDays, From: from, To: to}}}
}

func compile(t require.TestingT, spec Spec) *Schedule {
	s, err := Compile(spec)
	require.NoError(t, err)
	return s
}

func at(t require.TestingT, text string) time.Time {
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}

func TestMistakesNameTheField(t *testing.T) {
	many := func(n int) []string { return make([]string, n) }
	tests := []struct {
		name string
		spec Spec
		want []string // the beginnings of the joined errors
	}{
		{"no zone", Spec{}, []string{`timeZone: "" is not`}},
		{"the machine's zone", nineToFive("Local"), []string{`timeZone: "Local" is not`}},
		{"unknown zone", nineToFive("Europe/Atlantis"), []string{`timeZone: "Europe/Atlantis" is not`}},
		{"a path for a zone", nineToFive("../../etc/passwd"), []string{`timeZone: `}},
		{"nothing", Spec{TimeZone: "UTC"}, []string{"weekly: has no open minute"}},
		{"only closed dates", Spec{TimeZone: "UTC", Exceptions: []Exception{{Date: "2026-12-24", Closed: true}}}, []string{"weekly: has no open minute"}},
		{"only a time that does not exist", Spec{TimeZone: "Europe/Berlin", Exceptions: []Exception{{Date: "2026-03-29", From: "02:10", To: "02:50"}}}, []string{"weekly: has no open minute"}},
		{"no days", Spec{TimeZone: "UTC", Weekly: []Weekly{{From: "09:00", To: "17:00"}}}, []string{"weekly[0].days: is empty"}},
		{"odd day", Spec{TimeZone: "UTC", Weekly: []Weekly{{Days: []Day{"Mon", "Montag"}, From: "09:00", To: "17:00"}}}, []string{`weekly[0].days[1]: "Montag" is not a day`}},
		{"odd times", Spec{TimeZone: "UTC", Weekly: []Weekly{{Days: workdays, From: "9:00", To: "24:01"}}}, []string{"weekly[0].from: ", "weekly[0].to: "}},
		{"beginning at the end of the day", nights("UTC", "24:00", "24:00"), []string{"weekly[0].from: "}},
		{"over midnight", nights("UTC", "22:00", "06:00"), []string{"weekly[0].to: 06:00 is not after 22:00; hours that pass midnight are two intervals, 22:00–24:00 and, on the next day, 00:00–06:00"}},
		{"overlap", Spec{TimeZone: "UTC", Weekly: []Weekly{{Days: workdays, From: "09:00", To: "13:00"}, {Days: []Day{Friday}, From: "12:00", To: "15:00"}}}, []string{"weekly[1]: 12:00–15:00 overlaps 09:00–13:00 of weekly[0]"}},
		{"odd date", Spec{TimeZone: "UTC", Weekly: always("UTC").Weekly, Exceptions: []Exception{{Date: "2026-02-30", Closed: true}, {Date: "1066-10-14", Closed: true}}}, []string{`exceptions[0].date: "2026-02-30"`, `exceptions[1].date: "1066-10-14"`}},
		{"closed with hours", Spec{TimeZone: "UTC", Weekly: always("UTC").Weekly, Exceptions: []Exception{{Date: "2026-12-24", Closed: true, From: "10:00", To: "12:00"}}}, []string{"exceptions[0]: is closed and has hours"}},
		{"closed and open", Spec{TimeZone: "UTC", Weekly: always("UTC").Weekly, Exceptions: []Exception{{Date: "2026-12-24", Closed: true}, {Date: "2026-12-24", From: "10:00", To: "12:00"}}}, []string{"exceptions[0].closed: exceptions[1] has hours for the same date"}},
		{"odd holiday", Spec{TimeZone: "UTC", Weekly: always("UTC").Weekly, HolidaySets: []HolidaySet{{Dates: []string{"2026-12-25", "Christmas"}}}}, []string{`holidaySets[0].dates[1]: "Christmas" is not a date`}},
		{"too much", Spec{TimeZone: "UTC", Weekly: make([]Weekly, MaxWeekly+1), Exceptions: make([]Exception, MaxExceptions+1), HolidaySets: []HolidaySet{{Dates: many(MaxHolidays + 1)}}}, []string{"weekly: has 65 entries, 64 is the limit", "exceptions: ", "holidaySets[0].dates: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Compile(test.spec)
			require.Error(t, err)
			assert.Nil(t, s)
			joined, ok := err.(interface{ Unwrap() []error })
			require.True(t, ok)
			require.Len(t, joined.Unwrap(), len(test.want), "%v", err)
			for i, each := range joined.Unwrap() {
				var field *FieldError
				require.True(t, errors.As(each, &field))
				assert.Contains(t, each.Error(), test.want[i])
			}
		})
	}
}

// Golden cases: the zone, when it is open, and for how long it stays so.
func TestTransitions(t *testing.T) {
	lunch := Spec{TimeZone: "Europe/Berlin", Weekly: []Weekly{
		{Days: workdays, From: "08:00", To: "12:00"}, {Days: workdays, From: "13:30", To: "18:00"},
	}, Exceptions: []Exception{
		{Date: "2026-12-24", Closed: true}, {Date: "2026-12-27", From: "10:00", To: "14:00"}, {Date: "2026-12-26", From: "10:00", To: "11:00"},
	}, HolidaySets: []HolidaySet{{Name: "de-be", Dates: []string{"2026-12-25", "2026-12-26"}}}}
	late := Spec{TimeZone: "America/New_York", Weekly: []Weekly{
		{Days: []Day{Friday}, From: "18:00", To: "24:00"}, {Days: []Day{Saturday}, From: "00:00", To: "02:00"},
	}}
	fair := Spec{TimeZone: "Asia/Kolkata", Exceptions: []Exception{{Date: "2026-11-28", From: "10:00", To: "12:00"}}}
	quarter := nineToFive("Asia/Kathmandu") // UTC+5:45
	tests := []struct {
		name string
		spec Spec
		at   string
		open bool
		next string // empty: never
	}{
		{"lunch break", lunch, "2026-11-23T12:00:00+01:00", false, "2026-11-23T13:30:00+01:00"},
		{"before the first minute", lunch, "2026-11-23T07:59:59+01:00", false, "2026-11-23T08:00:00+01:00"},
		{"the first minute", lunch, "2026-11-23T08:00:00+01:00", true, "2026-11-23T12:00:00+01:00"},
		{"the last second", lunch, "2026-11-23T17:59:59+01:00", true, "2026-11-23T18:00:00+01:00"},
		{"weekend", lunch, "2026-11-21T12:00:00+01:00", false, "2026-11-23T08:00:00+01:00"},
		{"exception, then holiday, then exception on a holiday", lunch, "2026-12-23T18:00:00+01:00", false, "2026-12-26T10:00:00+01:00"},
		{"exception on a Sunday", lunch, "2026-12-27T10:00:00+01:00", true, "2026-12-27T14:00:00+01:00"},
		{"over midnight is one period", late, "2026-11-27T18:00:00-05:00", true, "2026-11-28T02:00:00-05:00"},
		{"midnight itself", late, "2026-11-28T00:00:00-05:00", true, "2026-11-28T02:00:00-05:00"},
		{"always open", always("Europe/Berlin"), "2026-11-23T00:00:00Z", true, ""},
		{"dated hours, before", fair, "2026-11-01T00:00:00Z", false, "2026-11-28T04:30:00Z"},
		{"dated hours, over", fair, "2026-11-28T06:30:00Z", false, ""},
		{"quarter of an hour", quarter, "2026-11-23T03:14:59Z", false, "2026-11-23T03:15:00Z"},
		{"half an hour, southern summer", nineToFive("Australia/Adelaide"), "2026-11-22T22:29:00Z", false, "2026-11-22T22:30:00Z"},

		// Europe/Berlin, 2026-03-29: 02:00 becomes 03:00 (01:00Z).
		{"gap inside", nights("Europe/Berlin", "01:00", "04:00"), "2026-03-29T00:00:00Z", true, "2026-03-29T02:00:00Z"},
		{"end in the gap", nights("Europe/Berlin", "01:00", "02:30"), "2026-03-29T00:00:00Z", true, "2026-03-29T01:00:00Z"},
		{"begin in the gap", nights("Europe/Berlin", "02:30", "04:00"), "2026-03-29T00:59:00Z", false, "2026-03-29T01:00:00Z"},
		{"wholly in the gap: not that night", nights("Europe/Berlin", "02:00", "03:00"), "2026-03-29T00:00:00Z", false, "2026-03-30T00:00:00Z"},
		// Europe/Berlin, 2026-10-25: 03:00 becomes 02:00 (01:00Z).
		{"overlap inside", nights("Europe/Berlin", "02:00", "03:00"), "2026-10-25T00:00:00Z", true, "2026-10-25T02:00:00Z"},
		{"end in the overlap: the first", nights("Europe/Berlin", "01:00", "02:30"), "2026-10-24T23:00:00Z", true, "2026-10-25T00:30:00Z"},
		{"not again", nights("Europe/Berlin", "01:00", "02:30"), "2026-10-25T01:15:00Z", false, "2026-10-26T00:00:00Z"},
		{"begin in the overlap: the first", nights("Europe/Berlin", "02:30", "04:00"), "2026-10-25T00:30:00Z", true, "2026-10-25T03:00:00Z"},
		// America/New_York, 2026-11-01: 02:00 becomes 01:00 (06:00Z).
		{"New York goes back", nights("America/New_York", "00:00", "02:00"), "2026-11-01T04:00:00Z", true, "2026-11-01T07:00:00Z"},
		// America/Havana goes back from 01:00 to 00:00, 2026-11-01 (05:00Z).
		{"Havana: midnight comes twice", nights("America/Havana", "00:00", "01:00"), "2026-11-01T04:00:00Z", true, "2026-11-01T06:00:00Z"},
		// America/Santiago goes forward from 24:00 to 01:00, 2026-09-06 (04:00Z).
		{"Santiago: midnight does not exist", nights("America/Santiago", "00:00", "02:00"), "2026-09-06T03:59:00Z", false, "2026-09-06T04:00:00Z"},
		// America/Sao_Paulo went back from 24:00 to 23:00, 2019-02-16 (2019-02-17T02:00Z).
		{"Sao Paulo: the last hour comes twice", nights("America/Sao_Paulo", "22:00", "24:00"), "2019-02-17T00:00:00Z", true, "2019-02-17T03:00:00Z"},
		// Australia/Lord_Howe shifts by half an hour: 2026-04-05 02:00 becomes 01:30 (2026-04-04T15:00Z).
		{"Lord Howe: half an hour twice", nights("Australia/Lord_Howe", "01:00", "03:00"), "2026-04-04T14:00:00Z", true, "2026-04-04T16:30:00Z"},
		// Pacific/Apia had no 2011-12-30: clocks went from the 29th 24:00 to the 31st 00:00 (10:00Z).
		{"Samoa skipped a Friday", Spec{TimeZone: "Pacific/Apia", Weekly: []Weekly{{Days: []Day{Friday}, From: "09:00", To: "17:00"}}}, "2011-12-29T20:00:00Z", false, "2012-01-05T19:00:00Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := compile(t, test.spec)
			now := at(t, test.at)
			assert.Equal(t, test.open, s.Open(now), "open")
			next, ok := s.NextTransition(now)
			if test.next == "" {
				assert.False(t, ok, "next transition %s", next)
				return
			}
			require.True(t, ok)
			assert.Equal(t, at(t, test.next).UTC(), next)
		})
	}
}

// Golden cases of arithmetic. Those marked come from other systems' worked
// examples and bug reports.
func TestBusinessTime(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		from string
		add  time.Duration
		want string
	}{
		{"Friday 16:30 + 1 h is Monday 9:30 (Chatwoot's example)", nineToFive("UTC"), "2026-11-20T16:30:00Z", time.Hour, "2026-11-23T09:30:00Z"},
		{"to the very end of the day", nineToFive("UTC"), "2026-11-20T16:30:00Z", 30 * time.Minute, "2026-11-20T17:00:00Z"},
		{"a nanosecond more", nineToFive("UTC"), "2026-11-20T16:30:00Z", 30*time.Minute + 1, "2026-11-23T09:00:00.000000001Z"},
		{"from a closed hour", nineToFive("UTC"), "2026-11-21T03:00:00Z", time.Minute, "2026-11-23T09:01:00Z"},
		{"nothing stays where it is", nineToFive("UTC"), "2026-11-21T03:00:00Z", 0, "2026-11-21T03:00:00Z"},
		{"a week of work", nineToFive("America/Los_Angeles"), "2026-11-20T17:00:00Z", 40 * time.Hour, "2026-11-27T01:00:00Z"},
		{"no minute is lost at midnight (Zammad 3180)", always("UTC"), "2026-11-20T12:00:00Z", 72 * time.Hour, "2026-11-23T12:00:00Z"},
		{"through the night when clocks go forward", nights("Europe/Berlin", "00:00", "04:00"), "2026-03-28T23:00:00Z", 3 * time.Hour, "2026-03-29T02:00:00Z"},
		{"through the night when clocks go back", nights("Europe/Berlin", "00:00", "04:00"), "2026-10-24T22:00:00Z", 5 * time.Hour, "2026-10-25T03:00:00Z"},
		{"a sub-second part survives", nineToFive("UTC"), "2026-11-20T16:30:00.25Z", time.Hour, "2026-11-23T09:30:00.25Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := compile(t, test.spec)
			from := at(t, test.from)
			got, ok := s.AddBusiness(from, test.add)
			require.True(t, ok)
			assert.Equal(t, at(t, test.want).UTC(), got)
			assert.Equal(t, test.add, s.BusinessBetween(from, got))
			assert.Equal(t, -test.add, s.BusinessBetween(got, from))
		})
	}
}

func TestBusinessTimeThatNeverComes(t *testing.T) {
	fair := compile(t, Spec{TimeZone: "UTC", Exceptions: []Exception{{Date: "2026-11-28", From: "10:00", To: "12:00"}}})
	before := at(t, "2026-11-01T00:00:00Z")
	got, ok := fair.AddBusiness(before, 2*time.Hour)
	require.True(t, ok)
	assert.Equal(t, at(t, "2026-11-28T12:00:00Z"), got)
	_, ok = fair.AddBusiness(before, 2*time.Hour+1)
	assert.False(t, ok)
	_, ok = compile(t, nineToFive("UTC")).AddBusiness(before, Reach)
	assert.False(t, ok, "a century of work takes longer than Reach")
}

func TestBusinessBetweenIsBounded(t *testing.T) {
	s := compile(t, nights("UTC", "12:00", "13:00"))
	assert.Equal(t, Reach/24, s.BusinessBetween(time.Time{}, at(t, "2026-01-01T00:00:00Z")))
}

func ExampleSchedule_AddBusiness() {
	s, err := Compile(Spec{TimeZone: "Europe/Berlin", Weekly: []Weekly{{Days: []Day{Monday, Tuesday, Wednesday, Thursday, Friday}, From: "09:00", To: "17:00"}}})
	if err != nil {
		panic(err)
	}
	friday := time.Date(2026, 11, 20, 15, 30, 0, 0, time.UTC) // 16:30 in Berlin
	due, _ := s.AddBusiness(friday, time.Hour)
	fmt.Println(due.Format(time.RFC3339))
	// Output: 2026-11-23T08:30:00Z
}
