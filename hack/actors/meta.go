package actors

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

// AddPage creates a Meta app, and a Facebook page that is reached through it.
func (s *Simulator) AddPage(ctx context.Context, app meta.AppSpec, page meta.AccountSpec) error {
	if err := s.control.call(ctx, http.MethodPost, "/control/meta/apps", app, nil); err != nil {
		return err
	}
	return s.control.call(ctx, http.MethodPost, "/control/meta/accounts", page, nil)
}

// Subscribed are the fields that a page sends to an app.
func (s *Simulator) Subscribed(ctx context.Context, page, app string) ([]string, error) {
	var state meta.AccountState
	err := s.control.call(ctx, http.MethodGet, "/control/meta/accounts/"+page, nil, &state)
	return state.Subscribed[app], err
}

// Person is somebody who writes to a page.
type Person struct {
	simulator *Simulator
	page, id  string
}

// Person with an id (digits) who writes to a page; the same id is the same person.
func (s *Simulator) Person(page, id string) *Person {
	return &Person{simulator: s, page: page, id: id}
}

// ID is the person's id at the platform.
func (p *Person) ID() string { return p.id }

// Write sends a text to the page.
func (p *Person) Write(ctx context.Context, text string) error {
	_, err := p.WriteAs(ctx, text)
	return err
}

// WriteAs sends a text to the page, and returns what it can be changed by.
func (p *Person) WriteAs(ctx context.Context, text string) (mid string, err error) {
	var out struct {
		MID string `json:"mid"`
	}
	err = p.simulator.control.call(ctx, http.MethodPost, p.path()+"/messages", meta.Words{Text: text}, &out)
	return out.MID, err
}

// Edit changes a message of the person.
func (p *Person) Edit(ctx context.Context, mid, text string) error {
	return p.simulator.control.call(ctx, http.MethodPost, p.path()+"/edit", map[string]any{"mid": mid, "text": text, "number": 1}, nil)
}

// Read waits until the page has sent n messages, and returns their texts.
func (p *Person) Read(ctx context.Context, n int, timeout time.Duration) ([]string, error) {
	q := url.Values{"from": {"shop"}, "waitFor": {strconv.Itoa(n)}, "timeout": {timeout.String()}}
	var out struct {
		Entries []meta.Entry `json:"entries"`
	}
	if err := p.simulator.control.call(ctx, http.MethodGet, p.path()+"/transcript?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	var texts []string
	for _, e := range out.Entries {
		if e.Event == "message" && e.Message != nil {
			texts = append(texts, e.Message.Text)
		}
	}
	return texts, nil
}

// Transcript is all that was written in the thread, in the order in which Meta saw it,
// each text as it reads after its changes.
func (p *Person) Transcript(ctx context.Context) ([]Line, error) {
	var out struct {
		Entries []meta.Entry `json:"entries"`
	}
	if err := p.simulator.control.call(ctx, http.MethodGet, p.path()+"/transcript", nil, &out); err != nil {
		return nil, err
	}
	var lines []Line
	place := map[string]int{} // of a message, by its id
	for _, e := range out.Entries {
		switch at, known := place[e.MID]; {
		case e.Event == "message" && e.Message != nil:
			place[e.Message.MID] = len(lines)
			lines = append(lines, Line{Shop: e.From == "shop", Text: e.Message.Text})
		case e.Event == "edit" && known:
			lines[at].Text = e.Detail
		}
	}
	return lines, nil
}

func (p *Person) path() string {
	return fmt.Sprintf("/control/meta/accounts/%s/people/%s", p.page, p.id)
}
