package schedule

import (
	"fmt"
	"time"
)

// Bounds of a Spec. They keep a resource far below what the API server takes
// and a compiled schedule small.
const (
	// MaxWeekly is how many weekly entries: 7 days with 8 intervals each, with room.
	MaxWeekly = 64
	// MaxExceptions is how many dated entries: one for every day of a year, with room.
	MaxExceptions = 400
	// MaxHolidaySets is how many holiday sets.
	MaxHolidaySets = 16
	// MaxHolidays is how many dates one holiday set names: 20 a year for 100 years.
	MaxHolidays = 2000
)

// Spec is a schedule as people write it. Its JSON is the spec of the Schedule
// resource, except that holiday sets are resolved to their dates.
type Spec struct {
	// TimeZone is an IANA name, e.g. "Europe/Berlin" or "UTC". Required.
	TimeZone string `json:"timeZone"`
	// Weekly are the hours of an ordinary week.
	Weekly []Weekly `json:"weekly,omitempty"`
	// Exceptions replace the hours of their date. Several of one date add up.
	Exceptions []Exception `json:"exceptions,omitempty"`
	// HolidaySets name dates without hours.
	HolidaySets []HolidaySet `json:"holidaySets,omitempty"`
}

// Weekly is one interval on some days of the week.
type Weekly struct {
	Days []Day `json:"days"`
	// From and To are "HH:MM" on the wall, From < To, To up to "24:00".
	From string `json:"from"`
	To   string `json:"to"`
}

// Day is a day of the week: Mon, Tue, Wed, Thu, Fri, Sat or Sun.
type Day string

// The days of the week.
const (
	Monday    Day = "Mon"
	Tuesday   Day = "Tue"
	Wednesday Day = "Wed"
	Thursday  Day = "Thu"
	Friday    Day = "Fri"
	Saturday  Day = "Sat"
	Sunday    Day = "Sun"
)

func (d Day) weekday() (time.Weekday, bool) {
	for i, name := range [7]Day{Sunday, Monday, Tuesday, Wednesday, Thursday, Friday, Saturday} {
		if d == name {
			return time.Weekday(i), true
		}
	}
	return 0, false
}

// Exception is what a date has instead of its weekly hours: Closed, or an
// interval from From to To.
type Exception struct {
	// Date is "YYYY-MM-DD".
	Date   string `json:"date"`
	Closed bool   `json:"closed,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	// Name tells people why; it has no effect.
	Name string `json:"name,omitempty"`
}

// HolidaySet is a reviewed list of dates on which nobody is there.
type HolidaySet struct {
	Name  string   `json:"name"`
	Dates []string `json:"dates"` // "YYYY-MM-DD"
}

// FieldError is one mistake in a Spec.
type FieldError struct {
	// Field is the path within the spec, e.g. "weekly[1].to".
	Field string
	// Message says what is wrong and what to write instead.
	Message string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

func fieldErrorf(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, args...)}
}
