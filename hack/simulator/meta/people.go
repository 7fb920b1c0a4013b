package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// account is a page or an Instagram account.
type account struct {
	AccountSpec
	linked     string              // the Instagram account of a page
	subscribed map[string][]string // fields by app
	profile    map[string]json.RawMessage
	threads    map[string]*thread // by person
	uploads    map[string]string  // type by attachment id
	uploaded   []file
	standby    bool // another app has the threads
}

// object is what the account's webhooks are called.
func (a *account) object() string {
	if a.Instagram {
		return "instagram"
	}
	return "page"
}

func (a *account) newMID(s *Server) string {
	if a.Instagram {
		return fmt.Sprintf("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOj%s%08d", a.ID, s.id())
	}
	return fmt.Sprintf("m_%s-%08d", a.ID, s.id())
}

func (a *account) noteUpload(f *file) { a.uploaded = keep(append(a.uploaded, *f), 100) }

// thread is an account's conversation with a person.
type thread struct {
	ID          string // of the person, for this account
	UserRef     string
	Blocked     bool
	LastInbound time.Time
	messages    []*Message
	log         []Entry
	seq         int64
}

// Who wrote a message.
const (
	fromShop   = "shop"
	fromPerson = "person"
)

// Message is one message of a thread.
type Message struct {
	MID      string          `json:"mid"`
	From     string          `json:"from"` // shop, person
	Text     string          `json:"text,omitempty"`
	Metadata string          `json:"metadata,omitempty"`
	ReplyTo  string          `json:"replyTo,omitempty"`
	Tag      string          `json:"tag,omitempty"`
	App      string          `json:"app,omitempty"` // that it was sent through
	Raw      json.RawMessage `json:"raw,omitempty"` // as it was sent
	At       int64           `json:"at"`            // Unix milliseconds
}

// Entry is one event of a thread, in the order in which Meta saw them.
type Entry struct {
	Seq     int64    `json:"seq"`
	From    string   `json:"from"`
	Event   string   `json:"event"` // message, edit, delete, react, unreact, postback, typing_on, mark_seen, block …
	MID     string   `json:"mid,omitempty"`
	Message *Message `json:"message,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

func (t *thread) add(m *Message) { t.messages = keep(append(t.messages, m), keepMessages) }

func (t *thread) find(mid string) *Message {
	for _, m := range t.messages {
		if m.MID == mid {
			return m
		}
	}
	return nil
}

// note adds an entry to the transcript. The caller holds mu.
func (a *account) note(s *Server, t *thread, e Entry) {
	t.seq++
	e.Seq = t.seq
	if e.Message != nil && e.Message.At == 0 {
		e.Message.At = s.millis()
	}
	t.log = keep(append(t.log, e), keepMessages)
	s.notify()
}

// Person is somebody who writes to an account.
type Person struct {
	s       *Server
	account string
	id      string
}

// Person returns a person by the id that the account knows them by.
func (s *Server) Person(accountID, id string) *Person {
	return &Person{s: s, account: accountID, id: id}
}

// Attachment is a file that a person sends; Type as Meta has it. Data is served
// below /media/. Other types (location, fallback …) bring their Payload.
type Attachment struct {
	Type     string          `json:"type"`
	Name     string          `json:"name,omitempty"`
	MimeType string          `json:"mimeType,omitempty"`
	Data     []byte          `json:"data,omitempty"` // base64 in JSON
	Payload  json.RawMessage `json:"payload,omitempty"`
}

// Words is what a person sends at once.
type Words struct {
	Text        string          `json:"text,omitempty"`
	Attachments []Attachment    `json:"attachments,omitempty"`
	QuickReply  string          `json:"quickReply,omitempty"` // payload
	ReplyTo     string          `json:"replyTo,omitempty"`
	Referral    json.RawMessage `json:"referral,omitempty"`
}

// do runs an action of the person with the lock held; the thread begins with it.
func (p *Person) do(act func(a *account, t *thread) error) error {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[p.account]
	if a == nil || !digits(p.id) {
		return fmt.Errorf("account %s or person %q: not found; ids of people are digits", p.account, p.id)
	}
	t := a.threads[p.id]
	if t == nil {
		t = &thread{ID: p.id}
		a.threads[p.id] = t
	}
	return act(a, t)
}

// element is what every element of a webhook has.
func (s *Server) element(a *account, t *thread, more map[string]any) map[string]any {
	out := map[string]any{"sender": map[string]any{"id": t.ID}, "recipient": map[string]any{"id": a.ID}, "timestamp": s.millis()}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// Write sends a message and returns its mid. It opens the window.
func (p *Person) Write(w Words) (mid string, err error) {
	err = p.do(func(a *account, t *thread) error {
		if w.Text == "" && len(w.Attachments) == 0 {
			return fmt.Errorf("there is nothing to send: give a text or attachments")
		}
		mid = a.newMID(p.s)
		m := map[string]any{"mid": mid}
		if w.Text != "" {
			m["text"] = w.Text
		}
		if w.QuickReply != "" {
			m["quick_reply"] = map[string]any{"payload": w.QuickReply}
		}
		if w.ReplyTo != "" {
			if t.find(w.ReplyTo) == nil {
				return fmt.Errorf("message %s: not found in this thread", w.ReplyTo)
			}
			m["reply_to"] = map[string]any{"mid": w.ReplyTo}
		}
		if len(w.Referral) > 0 {
			m["referral"] = w.Referral
		}
		var list []map[string]any
		for _, at := range w.Attachments {
			list = append(list, p.s.attach(at))
		}
		if list != nil {
			m["attachments"] = list
		}
		t.Blocked, t.LastInbound = false, p.s.opt.Now()
		written := &Message{MID: mid, From: fromPerson, Text: w.Text, ReplyTo: w.ReplyTo}
		t.add(written)
		a.note(p.s, t, Entry{From: fromPerson, Event: "message", MID: mid, Message: written})
		p.s.emit(a, t, "messages", p.s.element(a, t, map[string]any{"message": m}))
		return nil
	})
	return mid, err
}

// Press presses a button, a menu's item or Get Started.
func (p *Person) Press(title, payload string) error {
	return p.do(func(a *account, t *thread) error {
		t.Blocked, t.LastInbound = false, p.s.opt.Now()
		mid := a.newMID(p.s)
		a.note(p.s, t, Entry{From: fromPerson, Event: "postback", MID: mid, Detail: payload})
		p.s.emit(a, t, "messaging_postbacks", p.s.element(a, t, map[string]any{"postback": map[string]any{"mid": mid, "title": title, "payload": payload}}))
		return nil
	})
}

// Edit changes one of the person's messages; number counts edits from 1.
func (p *Person) Edit(mid, text string, number int) error {
	return p.do(func(a *account, t *thread) error {
		m := t.find(mid)
		if m == nil || m.From != fromPerson {
			return fmt.Errorf("message %s: not one of this person's", mid)
		}
		m.Text = text
		a.note(p.s, t, Entry{From: fromPerson, Event: "edit", MID: mid, Detail: text})
		// Meta sends the number as a text or as a number, whichever.
		var n any = number
		if number%2 == 0 {
			n = fmt.Sprint(number)
		}
		p.s.emit(a, t, "message_edits", p.s.element(a, t, map[string]any{"message_edit": map[string]any{"mid": mid, "text": text, "num_edit": n}}))
		return nil
	})
}

// Unsend takes one of the person's messages back.
func (p *Person) Unsend(mid string) error {
	return p.do(func(a *account, t *thread) error {
		if m := t.find(mid); m == nil || m.From != fromPerson {
			return fmt.Errorf("message %s: not one of this person's", mid)
		}
		a.note(p.s, t, Entry{From: fromPerson, Event: "delete", MID: mid})
		p.s.emit(a, t, "messages", p.s.element(a, t, map[string]any{"message": map[string]any{"mid": mid, "is_deleted": true}}))
		return nil
	})
}

// React puts a reaction on a message ("love", "❤️"), which opens the window, or
// takes it off (empty).
func (p *Person) React(mid, name, emoji string) error {
	return p.do(func(a *account, t *thread) error {
		if t.find(mid) == nil {
			return fmt.Errorf("message %s: not found in this thread", mid)
		}
		r := map[string]any{"mid": mid, "action": "unreact"}
		if name != "" {
			r["action"], r["reaction"], r["emoji"] = "react", name, emoji
			t.LastInbound = p.s.opt.Now()
		}
		a.note(p.s, t, Entry{From: fromPerson, Event: fmt.Sprint(r["action"]), MID: mid, Detail: name})
		p.s.emit(a, t, "message_reactions", p.s.element(a, t, map[string]any{"reaction": r}))
		return nil
	})
}

// watermark is what stands for everything that was sent to a person until now:
// the time of the last message, as Meta has it, which is before the time of the
// event that tells it.
func (s *Server) watermark(t *thread) int64 {
	for _, m := range slices.Backward(t.messages) {
		if m.From == fromShop {
			return m.At
		}
	}
	return s.millis() // nothing was sent
}

// Read tells that the person has seen everything until now.
func (p *Person) Read() error {
	return p.do(func(a *account, t *thread) error {
		a.note(p.s, t, Entry{From: fromPerson, Event: "read"})
		if !a.Instagram {
			p.s.emit(a, t, "message_reads", p.s.element(a, t, map[string]any{"read": map[string]any{"watermark": p.s.watermark(t)}}))
			return nil
		}
		for _, m := range t.messages {
			if m.From == fromShop {
				p.s.emit(a, t, "messaging_seen", p.s.element(a, t, map[string]any{"read": map[string]any{"mid": m.MID}}))
			}
		}
		return nil
	})
}

// Receive tells that what was sent has reached the person's device; with mids,
// unless they are left out, as Meta does at times.
func (p *Person) Receive(withMIDs bool) error {
	return p.do(func(a *account, t *thread) error {
		if a.Instagram {
			return fmt.Errorf("account %s: Instagram tells of no deliveries", a.ID)
		}
		d := map[string]any{"watermark": p.s.watermark(t)}
		if withMIDs {
			mids := []string{}
			for _, m := range t.messages {
				if m.From == fromShop {
					mids = append(mids, m.MID)
				}
			}
			d["mids"] = mids
		}
		p.s.emit(a, t, "message_deliveries", p.s.element(a, t, map[string]any{"delivery": d}))
		return nil
	})
}

// Refer follows a link with a reference within an open thread.
func (p *Person) Refer(ref string) error {
	return p.do(func(a *account, t *thread) error {
		field := "messaging_referrals"
		if a.Instagram {
			field = "messaging_referral"
		}
		p.s.emit(a, t, field, p.s.element(a, t, map[string]any{"referral": map[string]any{"ref": ref, "source": "SHORTLINK", "type": "OPEN_THREAD"}}))
		return nil
	})
}

// OptIn ticks a checkbox plugin: the person is known by its reference only.
func (s *Server) OptIn(accountID, userRef, ref string) error {
	p := s.Person(accountID, "0")
	return p.do(func(a *account, _ *thread) error {
		delete(a.threads, "0")
		t := &thread{ID: fmt.Sprint(9_000_000_000_000_000 + s.id()), UserRef: userRef, LastInbound: s.opt.Now()}
		a.threads[t.ID] = t
		element := map[string]any{"recipient": map[string]any{"id": a.ID}, "timestamp": s.millis(), "optin": map[string]any{"ref": ref, "user_ref": userRef}}
		s.emit(a, t, "messaging_optins", element)
		return nil
	})
}

// Block makes sends to the person fail until they write again.
func (p *Person) Block() error {
	return p.do(func(a *account, t *thread) error {
		t.Blocked = true
		a.note(p.s, t, Entry{From: fromPerson, Event: "block"})
		return nil
	})
}

// Answer is what somebody of the shop writes in the page's own inbox.
func (p *Person) Answer(text string) (mid string, err error) {
	err = p.do(func(a *account, t *thread) error {
		mid = a.newMID(p.s)
		m := &Message{MID: mid, From: fromShop, Text: text}
		t.add(m)
		a.note(p.s, t, Entry{From: fromShop, Event: "message", MID: mid, Message: m})
		body := text
		p.s.echo(a, t, m, outMessage{Text: &body})
		return nil
	})
	return mid, err
}

// inboxApp is the app of a page's own inbox.
const inboxApp = "263902037430900"

// echo tells every subscribed app what was written for the account.
func (s *Server) echo(a *account, t *thread, sent *Message, m outMessage) {
	message := map[string]any{"mid": sent.MID, "is_echo": true}
	appID := sent.App
	if appID == "" {
		appID = inboxApp
	}
	message["app_id"] = json.Number(appID) // a number beyond 2^53, as Meta sends it
	if sent.Text != "" && m.Text != nil {
		message["text"] = sent.Text
	}
	if sent.Metadata != "" {
		message["metadata"] = sent.Metadata
	}
	if m.Attachment != nil {
		var raw struct {
			Attachment json.RawMessage `json:"attachment"`
		}
		_ = json.Unmarshal(sent.Raw, &raw) // it was read before
		message["attachments"] = []json.RawMessage{raw.Attachment}
	}
	field := "message_echoes"
	if a.Instagram && a.Page != "" { // with Facebook Login echoes are messages
		field = "messages"
	}
	element := map[string]any{"sender": map[string]any{"id": a.ID}, "recipient": map[string]any{"id": t.ID}, "timestamp": s.millis(), "message": message}
	s.emit(a, t, field, element)
}

// SetStandby gives an account's threads to another app, or back.
func (s *Server) SetStandby(accountID string, standby bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[accountID]; a != nil {
		a.standby = standby
	}
}

// Age moves the person's last word into the past, so that the window ends.
func (p *Person) Age(by time.Duration) error {
	return p.do(func(_ *account, t *thread) error { t.LastInbound = t.LastInbound.Add(-by); return nil })
}

// Transcript is the thread's log; from and event narrow it ("" is all).
func (p *Person) Transcript(from, event string) []Entry {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.transcript(from, event)
}

func (p *Person) transcript(from, event string) []Entry {
	out := []Entry{}
	a := p.s.accounts[p.account]
	if a == nil || a.threads[p.id] == nil {
		return out
	}
	for _, e := range a.threads[p.id].log {
		if (from == "" || e.From == from) && (event == "" || e.Event == event) {
			out = append(out, e)
		}
	}
	return out
}

// WaitMessages waits until the shop has sent n messages.
func (p *Person) WaitMessages(ctx context.Context, n int) (out []Entry, err error) {
	err = p.s.wait(ctx, func() bool { out = p.transcript(fromShop, "message"); return len(out) >= n })
	if err != nil {
		return out, fmt.Errorf("waiting for %d messages, have %d: %w", n, len(out), err)
	}
	return out, nil
}

// mediaPath is where people's files are.
const mediaPath = "/media/"

// file is the bytes of an attachment.
type file struct {
	name, mimeType string
	data           []byte
}

// attach keeps a person's file and describes it as a webhook does. The caller holds mu.
func (s *Server) attach(at Attachment) map[string]any {
	out := map[string]any{"type": at.Type}
	switch {
	case len(at.Payload) > 0:
		out["payload"] = at.Payload
	case at.Data != nil:
		id := fmt.Sprintf("%d-%s", s.id(), path.Base("/"+at.Name))
		s.media[id] = file{name: at.Name, mimeType: at.MimeType, data: at.Data}
		s.mediaOrder = append(s.mediaOrder, id)
		if len(s.mediaOrder) > keepMedia {
			delete(s.media, s.mediaOrder[0])
			s.mediaOrder = slices.Delete(s.mediaOrder, 0, 1)
		}
		out["payload"] = map[string]any{"url": strings.TrimSuffix(s.mediaBase, "/") + mediaPath + id + "?oh=signature&oe=expiry"}
	}
	return out
}

// learnBase notes how the adapter reaches this server.
func (s *Server) learnBase(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mediaBase == "" {
		s.mediaBase = "http://" + r.Host
	}
}

func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f, ok := s.media[strings.TrimPrefix(r.URL.Path, mediaPath)]
	s.mu.Unlock()
	if !ok || r.Method != http.MethodGet || r.URL.Query().Get("oh") == "" {
		http.Error(w, "URL signature mismatch", http.StatusForbidden)
		return
	}
	if f.mimeType != "" {
		w.Header().Set("Content-Type", f.mimeType)
	}
	_, _ = w.Write(f.data) // the client has gone: nobody to tell
}

// Uploaded are the bytes that were uploaded for an account, oldest first.
func (s *Server) Uploaded(accountID string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out [][]byte
	if a := s.accounts[accountID]; a != nil {
		for _, f := range a.uploaded {
			out = append(out, f.data)
		}
	}
	return out
}
