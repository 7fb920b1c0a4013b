// Package schedule is business time: when somebody is there, and arithmetic on
// that time. It is pure; it knows no store, no clock of its own and no Kubernetes.
//
//	Spec (zone, weekly, exceptions, holidays) ──Compile──► *Schedule
//	                                              │            │
//	                              errors that     │            ├─ Open(t)
//	                              name the field ◄┘            ├─ NextTransition(t)
//	                                                           ├─ AddBusiness(t, 30m)
//	                                                           └─ BusinessBetween(a, b)
//
// # What a day means
//
// A date takes its hours from its exceptions if it has any, else none if a
// holiday set names it, else from the weekly hours of its weekday. Hours are
// half-open, from ≤ t < to, and "24:00" is the end of the day. Hours that
// touch (08:00–12:00 and 12:00–18:00) are one period; hours that overlap are a
// mistake. Hours that pass midnight are written as two.
//
// # What a time on the wall means
//
// An end of an interval is the first instant at which a clock on that wall
// shows this date and time or a later one. So
//
//   - in the night when clocks go forward, a time that does not exist is the
//     instant of the change: 01:00–02:30 ends, and 02:30–04:00 begins, when the
//     clock jumps from 02:00 to 03:00, and 02:00–03:00 has no length;
//   - in the night when clocks go back, a time that comes twice is the first
//     of the two: 00:00–24:00 lasts 25 hours, 02:00–03:00 lasts two, and no
//     interval opens twice;
//   - a date that a zone skipped (Samoa, 2011-12-30) is empty.
//
// The rule keeps order: intervals that do not overlap on the wall do not overlap
// in time. Durations are counted on instants, never on minutes of the wall.
//
// A schedule with only dated hours is allowed (a fair, a hotline for one week);
// once they are over it is closed and has no next transition.
//
// # Zone data
//
// Zones come from the machine's zoneinfo, and where there is none from the copy
// that is linked into the program (this package imports time/tzdata, so a pod
// in an image without zoneinfo works). Two machines with different zoneinfo can
// differ about dates for which a government changed its mind in between. That is
// why a routing decision keeps whether a schedule was open as a fact, and does not
// ask again when it is replayed.
package schedule
