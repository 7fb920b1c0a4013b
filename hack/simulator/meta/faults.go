package meta

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind names what goes wrong.
type FaultKind string

const (
	// FaultFail answers a call with Code and Subcode without doing it.
	FaultFail FaultKind = "fail"
	// FaultServerError answers with 500 and a page that is not JSON, without doing it.
	FaultServerError FaultKind = "serverError"
	// FaultHang does not do a call and answers never, or after Delay with a cut connection.
	FaultHang FaultKind = "hang"
	// FaultReset resets the connection without doing the call.
	FaultReset FaultKind = "reset"
	// FaultLate does the call at once and answers after Delay (0: never).
	FaultLate FaultKind = "late"
	// FaultLost does the call and resets the connection instead of answering.
	FaultLost FaultKind = "lost"

	// FaultDuplicate delivers an element twice.
	FaultDuplicate FaultKind = "duplicate"
	// FaultReorder delivers an element after Delay, when others have overtaken it.
	FaultReorder FaultKind = "reorder"
	// FaultDelay holds a thread's webhooks back for Delay.
	FaultDelay FaultKind = "delay"
)

var (
	callFaults     = []FaultKind{FaultFail, FaultServerError, FaultHang, FaultReset, FaultLate, FaultLost}
	deliveryFaults = []FaultKind{FaultDuplicate, FaultReorder, FaultDelay}
)

// Fault is one rule of what goes wrong; the first that fits wins.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Path is the end of the path of calls that fail, such as "/messages"; of
	// deliveries: the account. Empty: all.
	Path string `json:"path,omitempty"`
	// Times is how often the rule works; 0: until it is removed. Skip lets the
	// first ones pass.
	Times int `json:"times,omitempty"`
	Skip  int `json:"skip,omitempty"`
	// Code and Subcode answer FaultFail; Code 4 and its kin bring RetryAfter, in
	// seconds, as a header.
	Code       int `json:"code,omitempty"`
	Subcode    int `json:"subcode,omitempty"`
	RetryAfter int `json:"retryAfter,omitempty"`
	// Delay in milliseconds; see the kinds.
	Delay int `json:"delayMillis,omitempty"`
	// Hits counts how often the rule worked.
	Hits int `json:"hits"`

	seen int
}

func (f *Fault) delay() time.Duration { return time.Duration(f.Delay) * time.Millisecond }

// AddFault adds a rule.
func (s *Server) AddFault(f Fault) error {
	if !slices.Contains(callFaults, f.Kind) && !slices.Contains(deliveryFaults, f.Kind) {
		return fmt.Errorf("kind %q: use one of %v for calls or %v for webhooks", f.Kind, callFaults, deliveryFaults)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Hits, f.seen = 0, 0
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults removes all rules.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults are the rules with their hits.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Fault{}
	for _, f := range s.faults {
		out = append(out, *f)
	}
	return out
}

func (s *Server) takeFault(c *call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(callFaults, func(f *Fault) bool { return strings.HasSuffix("/"+c.path, f.Path) })
}

func (s *Server) takeDeliveryFault(e event) *Fault {
	return s.take(deliveryFaults, func(f *Fault) bool { return f.Path == "" || f.Path == e.account })
}

// take finds the first rule that works now; a copy, as others may take it too.
func (s *Server) take(kinds []FaultKind, fits func(*Fault) bool) *Fault {
	for _, f := range s.faults {
		if !slices.Contains(kinds, f.Kind) || !fits(f) {
			continue
		}
		if f.seen++; f.seen <= f.Skip || f.Times > 0 && f.Hits >= f.Times {
			continue
		}
		f.Hits++
		taken := *f
		return &taken
	}
	return nil
}

// before ends a call that is not to be done.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) (err *graphError, over bool) {
	switch f.Kind {
	case FaultFail:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(f.RetryAfter))
		}
		return refuse(f.Code, f.Subcode, "a fault of the simulator"), true
	case FaultServerError:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("<html>Sorry, something went wrong.</html>")) // whoever reads it
		return errAnswered, true
	case FaultHang:
		hold(r, f.delay())
		cut(w)
		return errAnswered, true
	case FaultReset:
		cut(w)
		return errAnswered, true
	}
	return nil, false
}

// after ends the exchange of a call that was done; false: it is answered.
func (f *Fault) after(w http.ResponseWriter, r *http.Request) bool {
	switch f.Kind {
	case FaultLate:
		hold(r, f.delay())
		if f.Delay > 0 {
			return false
		}
	case FaultLost:
	default:
		return false
	}
	cut(w)
	return true
}

// hold waits for a while, or (0) until the caller gives up.
func hold(r *http.Request, d time.Duration) {
	if d == 0 {
		<-r.Context().Done()
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}
