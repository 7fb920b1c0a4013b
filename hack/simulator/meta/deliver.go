package meta

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// event is one element on its way to an app's webhook.
type event struct {
	app     string
	object  string
	account string
	standby bool
	lane    string
	body    json.RawMessage
}

// emit gives an element to every app that the account and the app's own
// subscription ask it for. The caller holds mu.
func (s *Server) emit(a *account, t *thread, field string, element map[string]any) {
	body, err := json.Marshal(element)
	if err != nil {
		panic(fmt.Sprintf("an element that is not JSON: %v", err)) // our own maps
	}
	for _, id := range sortedKeys(s.apps) {
		ap := s.apps[id]
		sub := ap.subscriptions[a.object()]
		if sub == nil || !s.subscribes(a, id, field) || !slices.Contains(sub.Fields, field) {
			continue
		}
		if a.standby && !slices.Contains(sub.Fields, "standby") {
			continue
		}
		s.queue(ap, event{app: id, object: a.object(), account: a.ID, standby: a.standby, lane: a.ID + " " + t.ID, body: body})
	}
	s.notify()
}

// subscribes says whether an account's webhooks go to an app. Those of an
// Instagram account with Facebook Login go where its page is subscribed, to
// whatever field.
func (s *Server) subscribes(a *account, appID, field string) bool {
	if a.Instagram && a.Page != "" {
		return len(s.accounts[a.Page].subscribed[appID]) > 0
	}
	return slices.Contains(a.subscribed[appID], field)
}

// queue puts an event into its lane, or holds it for a batch.
func (s *Server) queue(ap *app, e event) {
	if ap.held {
		ap.waiting = append(ap.waiting, e)
		return
	}
	waiting, busy := ap.lanes[e.lane]
	ap.lanes[e.lane] = append(waiting, e)
	if !busy {
		s.running.Go(func() { s.runLane(ap, e.lane) })
	}
}

// Hold keeps an app's webhooks back, to send them as one batch.
func (s *Server) Hold(appID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps[appID] == nil {
		return fmt.Errorf("app %s: not found", appID)
	}
	s.apps[appID].held = true
	return nil
}

// Release sends what was held as one batch for each object, as Meta does under
// load; it returns how many elements there were.
func (s *Server) Release(appID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ap := s.apps[appID]
	if ap == nil {
		return 0, fmt.Errorf("app %s: not found", appID)
	}
	batch := ap.waiting
	ap.held, ap.waiting = false, nil
	for _, object := range []string{"page", "instagram"} {
		of := slices.DeleteFunc(slices.Clone(batch), func(e event) bool { return e.object != object })
		if len(of) > 0 {
			s.running.Go(func() { s.deliver(ap, of) })
		}
	}
	return len(batch), nil
}

// runLane makes first attempts one after the other: Meta promises no order, but
// mostly keeps it. What fails is tried again beside the lane.
func (s *Server) runLane(ap *app, lane string) {
	for {
		s.mu.Lock()
		waiting := ap.lanes[lane]
		if len(waiting) == 0 || s.done.Err() != nil {
			delete(ap.lanes, lane)
			s.mu.Unlock()
			return
		}
		e := waiting[0]
		ap.lanes[lane] = waiting[1:]
		fault := s.takeDeliveryFault(e)
		s.mu.Unlock()
		s.first(ap, e, fault)
	}
}

func (s *Server) first(ap *app, e event, f *Fault) {
	batch := []event{e}
	if f == nil {
		s.deliver(ap, batch)
		return
	}
	switch f.Kind {
	case FaultDelay:
		s.sleep(f.delay())
	case FaultReorder:
		s.running.Go(func() { s.sleep(f.delay()); s.deliver(ap, batch) })
		return
	case FaultDuplicate:
		s.deliver(ap, batch)
	}
	s.deliver(ap, batch)
}

func (s *Server) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done.Done():
		return false
	}
}

// deliver makes the first attempt and leaves further ones to themselves.
func (s *Server) deliver(ap *app, batch []event) {
	if s.attempt(ap, batch, 1) {
		return
	}
	s.running.Go(func() {
		began, pause := time.Now(), s.opt.RetryMin
		for n := 2; time.Since(began) < s.opt.RetryFor && s.sleep(pause); n++ {
			if s.attempt(ap, batch, n) {
				return
			}
			pause = min(2*pause, s.opt.RetryMax)
		}
	})
}

// Delivery is one request to a webhook.
type Delivery struct {
	App      string    `json:"app"`
	Time     time.Time `json:"time"`
	Elements int       `json:"elements"`
	Attempt  int       `json:"attempt"`
	Status   int       `json:"status"` // 0: no answer
	Error    string    `json:"error,omitempty"`
}

// attempt posts a batch where the app's webhook is now, signed with its secret
// of now.
func (s *Server) attempt(ap *app, batch []event, n int) bool {
	s.mu.Lock()
	sub, secret := ap.subscriptions[batch[0].object], ap.Secret
	s.mu.Unlock()
	if sub == nil {
		return true // unsubscribed meanwhile: Meta forgets them
	}
	d := Delivery{App: ap.ID, Elements: len(batch), Attempt: n}
	status, err := s.post(sub.CallbackURL, secret, bodyOf(batch, s.millis()))
	d.Status = status
	if err != nil {
		d.Error = ctxless(err).Error()
	}
	s.noteDelivery(d)
	return status == http.StatusOK
}

func (s *Server) noteDelivery(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Time = s.opt.Now()
	s.deliveries = keep(append(s.deliveries, d), keepDeliveries)
	s.notify()
	s.opt.Log.Debug("delivery", "app", d.App, "elements", d.Elements, "attempt", d.Attempt, "status", d.Status, "error", d.Error)
}

func (s *Server) post(target, secret string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(s.done, s.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the callback URL is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	req.Header.Set("X-Hub-Signature-256", "sha256="+sum(secret, body))
	resp, err := s.opt.Client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func sum(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// bodyOf joins elements by account, as Meta's batches do.
func bodyOf(batch []event, now int64) []byte {
	type entry struct {
		ID        string            `json:"id"`
		Time      int64             `json:"time"`
		Messaging []json.RawMessage `json:"messaging,omitempty"`
		Standby   []json.RawMessage `json:"standby,omitempty"`
	}
	var entries []*entry
	for _, e := range batch {
		i := slices.IndexFunc(entries, func(x *entry) bool { return x.ID == e.account })
		if i < 0 {
			entries = append(entries, &entry{ID: e.account, Time: now})
			i = len(entries) - 1
		}
		if e.standby {
			entries[i].Standby = append(entries[i].Standby, e.body)
		} else {
			entries[i].Messaging = append(entries[i].Messaging, e.body)
		}
	}
	raw, err := json.Marshal(map[string]any{"object": batch[0].object, "entry": entries})
	if err != nil {
		panic(fmt.Sprintf("a batch that is not JSON: %v", err)) // our own structures
	}
	return escape(raw)
}

// escape writes JSON as Meta does: nothing but ASCII, slashes with a backslash.
func escape(raw []byte) []byte {
	var out strings.Builder
	for _, r := range string(raw) {
		switch {
		case r == '/':
			out.WriteString(`\/`)
		case r < 0x80:
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}

// Deliveries are the requests to an app's webhook, oldest first.
func (s *Server) Deliveries(appID string) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliveriesLocked(appID)
}

func (s *Server) deliveriesLocked(appID string) []Delivery {
	out := []Delivery{}
	for _, d := range s.deliveries {
		if d.App == appID {
			out = append(out, d)
		}
	}
	return out
}

// WaitDelivered waits until n elements were answered with 200.
func (s *Server) WaitDelivered(ctx context.Context, appID string, n int) (out []Delivery, err error) {
	err = s.wait(ctx, func() bool {
		out = s.deliveriesLocked(appID)
		got := 0
		for _, d := range out {
			if d.Status == http.StatusOK {
				got += d.Elements
			}
		}
		return got >= n
	})
	return out, err
}

// Injection is a request to a webhook that Meta did not make, or a body of
// one's own.
type Injection struct {
	Object string `json:"object"` // whose webhook; default: page
	// Secret signs it; the true one when UseSecret is set.
	Secret    string `json:"secret,omitempty"`
	UseSecret bool   `json:"useSecret,omitempty"`
	Body      string `json:"body"`
}

// Inject posts to an app's webhook and returns the answer's status.
func (s *Server) Inject(appID string, in Injection) (int, error) {
	defaults(&in.Object, "page")
	s.mu.Lock()
	ap := s.apps[appID]
	var sub *subscription
	if ap != nil {
		sub = ap.subscriptions[in.Object]
		if in.UseSecret {
			in.Secret = ap.Secret
		}
	}
	s.mu.Unlock()
	if sub == nil {
		return 0, fmt.Errorf("app %s has no webhook for %s", appID, in.Object)
	}
	status, err := s.post(sub.CallbackURL, in.Secret, []byte(in.Body))
	if err != nil {
		return 0, ctxless(err)
	}
	return status, nil
}
