// Package wallclock is the clock on the wall, for what is compared with other
// clocks or kept: the time that a store writes by, when a webhook was received and
// a message sent, until when a rotated-out secret counts. It is set, by people and
// by NTP, while durations and deadlines go by time.Now, whose monotonic part is not.
//
// Built with the tag faults it can be set from outside: a fault test moves the
// clocks of real processes, without being allowed to set the machine's.
package wallclock
