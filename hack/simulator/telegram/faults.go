package telegram

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// FaultKind names what goes wrong.
type FaultKind string

const (
	// FaultFail answers a call with Code and Description without doing it.
	FaultFail FaultKind = "fail"
	// FaultRateLimit answers a call with 429 and RetryAfter.
	FaultRateLimit FaultKind = "rateLimit"
	// FaultHang does not do a call and does not answer for Delay (0: until the
	// caller gives up); then the connection is closed.
	FaultHang FaultKind = "hang"
	// FaultReset resets the connection without doing the call.
	FaultReset FaultKind = "reset"
	// FaultLate does the call at once and answers after Delay (0: never; the
	// connection is closed when the caller gives up).
	FaultLate FaultKind = "late"
	// FaultLost does the call and resets the connection instead of answering.
	FaultLost FaultKind = "lost"
	// FaultGarbled does the call and answers 200 with a body that is not JSON.
	FaultGarbled FaultKind = "garbled"

	// FaultDuplicate delivers an update twice.
	FaultDuplicate FaultKind = "duplicate"
	// FaultReorder takes an update out of its lane, so that it may overtake
	// others or be overtaken; Delay (default 50 ms) bounds by how much. In one
	// answer to getUpdates it shuffles the list.
	FaultReorder FaultKind = "reorder"
	// FaultDelay holds an update back for Delay; at a webhook its lane alone,
	// with getUpdates all that follow.
	FaultDelay FaultKind = "delay"
	// FaultWrongSecret posts a forged update with a wrong secret token before
	// the true delivery (webhooks only).
	FaultWrongSecret FaultKind = "wrongSecret"
	// FaultGarbage posts a body that is not an update, with the true secret,
	// before the true delivery (webhooks only).
	FaultGarbage FaultKind = "garbage"
)

var callFaults = []FaultKind{FaultFail, FaultRateLimit, FaultHang, FaultReset, FaultLate, FaultLost, FaultGarbled}
var updateFaults = []FaultKind{FaultDuplicate, FaultReorder, FaultDelay, FaultWrongSecret, FaultGarbage}

// Fault is one rule of what goes wrong. Which calls or updates it meets is
// decided in the order of rules; the first that fits wins (of the kinds for
// updates, all that fit).
type Fault struct {
	ID   string    `json:"id"` // filled in
	Kind FaultKind `json:"kind"`
	// Method is the method of the Bot API that fails, or a pattern such as
	// "send*". Empty: every call but getUpdates and getMe. For updates: the kind
	// of update, empty: every one.
	Method string `json:"method,omitempty"`
	// Chat limits the rule to one chat; 0: all.
	Chat int64 `json:"chat,omitempty"`
	// Times is how often the rule works; 0: until it is removed.
	Times int `json:"times,omitempty"`
	// Skip lets the first calls or updates pass that the rule fits.
	Skip int `json:"skip,omitempty"`
	// Probability is the chance that the rule works; 0 means 1. Drawn from the
	// server's seed, so that the same order of calls fails in the same places.
	Probability float64 `json:"probability,omitempty"`
	// Code and Description answer FaultFail; defaults 500 and "Internal Server
	// Error".
	Code        int    `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	// RetryAfter in seconds answers FaultRateLimit; default 1.
	RetryAfter int `json:"retryAfter,omitempty"`
	// Delay in milliseconds; see the kinds.
	Delay int `json:"delayMillis,omitempty"`
	// Hits counts how often the rule worked.
	Hits int `json:"hits"`

	seen int
}

func (f *Fault) delay() time.Duration { return time.Duration(f.Delay) * time.Millisecond }

// AddFault adds a rule and returns it with its id.
func (b *Bot) AddFault(f Fault) (Fault, error) {
	switch {
	case !slices.Contains(callFaults, f.Kind) && !slices.Contains(updateFaults, f.Kind):
		return f, fmt.Errorf("kind %q: use one of %v %v", f.Kind, callFaults, updateFaults)
	case f.Probability < 0 || f.Probability > 1:
		return f, fmt.Errorf("probability %v: use 0 to 1", f.Probability)
	case f.Times < 0 || f.Skip < 0 || f.Delay < 0 || f.RetryAfter < 0:
		return f, fmt.Errorf("times, skip, delayMillis and retryAfter must not be negative")
	}
	if _, err := path.Match(f.Method, ""); err != nil {
		return f, fmt.Errorf("method %q: not a pattern", f.Method)
	}
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	f.ID, f.Hits, f.seen = fmt.Sprintf("fault-%d", s.nextID), 0, 0
	b.faults = append(b.faults, &f)
	return f, nil
}

// Faults returns the rules that are left.
func (b *Bot) Faults() []Fault {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	out := make([]Fault, 0, len(b.faults))
	for _, f := range b.faults {
		out = append(out, *f)
	}
	return out
}

// ClearFaults removes the rule with this id, or all when id is empty. It
// returns how many went.
func (b *Bot) ClearFaults(id string) int {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	before := len(b.faults)
	b.faults = slices.DeleteFunc(b.faults, func(f *Fault) bool { return id == "" || f.ID == id })
	return before - len(b.faults)
}

// hit says whether a rule works this time, and uses it up. The caller holds mu.
func (b *Bot) hit(f *Fault, name string, chat int64) bool {
	if f.Chat != 0 && f.Chat != chat {
		return false
	}
	if f.Method != "" {
		if ok, _ := path.Match(strings.ToLower(f.Method), strings.ToLower(name)); !ok {
			return false
		}
	}
	if f.seen++; f.seen <= f.Skip {
		return false
	}
	if f.Probability > 0 && b.server.rnd.Float64() >= f.Probability {
		return false
	}
	f.Hits++
	if f.Times > 0 && f.Hits >= f.Times {
		b.faults = slices.DeleteFunc(slices.Clone(b.faults), func(g *Fault) bool { return g == f })
	}
	return true
}

// takeFault returns a copy of the rule that meets a call, or nil.
func (s *Server) takeFault(b *Bot, c *call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	chat := parseID(c.arg("chat_id"))
	for _, f := range b.faults {
		if !slices.Contains(callFaults, f.Kind) {
			continue
		}
		if f.Method == "" && (c.method == "getUpdates" || c.method == "getMe") {
			continue
		}
		if b.hit(f, c.method, chat) {
			out := *f
			return &out
		}
	}
	return nil
}

// runWithFault runs a call unless the fault comes first.
func (s *Server) runWithFault(c *call, f *Fault) (any, string, *apiError) {
	if f == nil {
		return s.run(c)
	}
	switch f.Kind {
	case FaultFail:
		code := cmp.Or(f.Code, 500)
		return nil, "", &apiError{Code: code, Description: cmp.Or(f.Description, "Internal Server Error")}
	case FaultRateLimit:
		return nil, "", tooMany(f.RetryAfter)
	case FaultHang, FaultReset:
		return nil, "", &apiError{Code: 0, Description: "not done: " + string(f.Kind)}
	}
	return s.run(c)
}

// after does what a fault does to the answer; it reports whether the answer is
// settled.
func (f *Fault) after(w http.ResponseWriter, r *http.Request) bool {
	switch f.Kind {
	case FaultHang:
		pause(r, f.delay())
		panic(http.ErrAbortHandler)
	case FaultReset, FaultLost:
		reset(w)
		return true
	case FaultLate:
		if f.Delay == 0 {
			pause(r, 0)
			panic(http.ErrAbortHandler)
		}
		pause(r, f.delay())
	case FaultGarbled:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body>upstream error</body></html>"))
		return true
	}
	return false
}

// maxHang ends calls whose caller never gives up: an hour is longer than any
// test and keeps a forgotten connection from staying for ever.
const maxHang = time.Hour

// pause waits for d, or until the caller has gone; 0 is the latter alone.
func pause(r *http.Request, d time.Duration) {
	t := time.NewTimer(cmp.Or(d, maxHang))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// reset closes the connection with a TCP reset where that can be done.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close sends RST; a failure only makes it a FIN
	}
	_ = conn.Close()
}

// spoil applies the rules for updates to a new one. The caller holds mu.
func (b *Bot) spoil(u *update) {
	for _, f := range b.faults {
		late := f.delay()
		switch f.Kind {
		case FaultDuplicate:
			if b.hit(f, u.kind, u.chat) {
				u.extra++
			}
			continue
		case FaultReorder:
			if !b.hit(f, u.kind, u.chat) {
				continue
			}
			u.shuffle = true
			u.lane = fmt.Sprint("alone:", u.id)
			late = time.Duration(b.server.rnd.Int64N(int64(cmp.Or(late, 50*time.Millisecond))))
		case FaultDelay:
			if !b.hit(f, u.kind, u.chat) {
				continue
			}
		default:
			continue
		}
		if at := time.Now().Add(late); at.After(u.visible) {
			u.visible = at
		}
		time.AfterFunc(late, b.wakeUp) // a long poll does not look at the clock
	}
}

func (b *Bot) wakeUp() {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.signal()
}

// injections returns the forgeries that come before a delivery.
func (b *Bot) injections(u *update) []FaultKind {
	var out []FaultKind
	for _, f := range b.faults {
		if (f.Kind == FaultWrongSecret || f.Kind == FaultGarbage) && b.hit(f, u.kind, u.chat) {
			out = append(out, f.Kind)
		}
	}
	return out
}

// inject posts one forgery and logs it.
func (b *Bot) inject(h *webhook, u *update, kind FaultKind) {
	d := Delivery{UpdateID: u.id, Kind: u.kind, Attempt: 1, Injected: string(kind)}
	if kind == FaultWrongSecret {
		h.post(&d, forgedUpdate(u.id+1_000_000), "wrong-"+strings.Repeat("x", len(h.secret)))
	} else {
		h.post(&d, []byte(`{"update_id": garbage`), h.secret)
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.deliveries.add(d)
}
