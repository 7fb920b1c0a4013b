package meta

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
)

// done is the result of an endpoint that has none.
type done struct {
	OK bool `json:"ok"`
}

func settled(err error) (any, error) { return done{true}, err }

// Control is the HTTP form of the Go API; the simulator's README lists the
// endpoints. It has no authentication: it belongs on a port that only tests reach.
func (s *Server) Control() http.Handler {
	api := &control.API{}
	s.appEndpoints(api)
	s.accountEndpoints(api)
	s.personEndpoints(api)
	s.faultEndpoints(api)
	return api
}

// with decodes a body and calls h with it.
func with[T any](h func(r *http.Request, in T) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		in, err := control.Decode[T](r)
		if err != nil {
			return nil, err
		}
		return h(r, in)
	}
}

func (s *Server) appEndpoints(api *control.API) {
	api.Handle("POST /apps", with(func(_ *http.Request, in AppSpec) (any, error) { return settled(s.AddApp(in)) }))
	api.Handle("GET /apps/{app}", func(r *http.Request) (any, error) { return s.appState(r.PathValue("app")) })
	api.Handle("POST /apps/{app}/secret", with(func(r *http.Request, in struct {
		Secret string `json:"secret"`
	}) (any, error) {
		return settled(s.RotateSecret(r.PathValue("app"), in.Secret))
	}))
	api.Handle("POST /apps/{app}/takeover", with(func(r *http.Request, in struct {
		Object string `json:"object"`
		URL    string `json:"url"`
	}) (any, error) {
		return settled(s.TakeOver(r.PathValue("app"), in.Object, in.URL))
	}))
	api.Handle("POST /apps/{app}/inject", with(func(r *http.Request, in Injection) (any, error) {
		status, err := s.Inject(r.PathValue("app"), in)
		return map[string]int{"status": status}, err
	}))
	api.Handle("POST /apps/{app}/hold", func(r *http.Request) (any, error) { return settled(s.Hold(r.PathValue("app"))) })
	api.Handle("POST /apps/{app}/release", func(r *http.Request) (any, error) {
		n, err := s.Release(r.PathValue("app"))
		return map[string]int{"elements": n}, err
	})
	api.Handle("GET /apps/{app}/deliveries", s.getDeliveries)
}

// AppState is what the control API shows of an app.
type AppState struct {
	ID            string                  `json:"id"`
	Subscriptions map[string]Subscription `json:"subscriptions"`
}

func (s *Server) appState(id string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[id]
	if a == nil {
		return nil, control.NotFound("app %q: not found; create it with POST /apps", id)
	}
	state := AppState{ID: id, Subscriptions: map[string]Subscription{}}
	for object, sub := range a.subscriptions {
		state.Subscriptions[object] = Subscription{sub.CallbackURL, slices.Clone(sub.Fields)}
	}
	return state, nil
}

func (s *Server) getDeliveries(r *http.Request) (any, error) {
	n, err := control.WaitFor(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := control.Wait(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	list, err := s.WaitDelivered(ctx, r.PathValue("app"), n)
	out := map[string]any{"deliveries": list}
	if err != nil {
		return nil, control.TimedOut(err, out)
	}
	return out, nil
}

// AccountState is what the control API shows of a page or an Instagram account.
type AccountState struct {
	ID         string                     `json:"id"`
	Name       string                     `json:"name"`
	Instagram  bool                       `json:"instagram"`
	Linked     string                     `json:"linked,omitempty"`
	Subscribed map[string][]string        `json:"subscribed"`
	Profile    map[string]json.RawMessage `json:"profile"`
	People     []string                   `json:"people"`
}

func (s *Server) accountEndpoints(api *control.API) {
	api.Handle("POST /accounts", with(func(_ *http.Request, in AccountSpec) (any, error) { return settled(s.AddAccount(in)) }))
	api.Handle("GET /accounts/{account}", func(r *http.Request) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a := s.accounts[r.PathValue("account")]
		if a == nil {
			return nil, control.NotFound("account %q: not found; create it with POST /accounts", r.PathValue("account"))
		}
		linked := a.linked
		if a.Page != "" {
			linked = a.Page
		}
		return AccountState{ID: a.ID, Name: a.Name, Instagram: a.Instagram, Linked: linked, Subscribed: a.subscribed, Profile: a.profile, People: sortedKeys(a.threads)}, nil
	})
	api.Handle("POST /accounts/{account}/revoke", with(func(r *http.Request, in struct {
		Token string `json:"token"`
	}) (any, error) {
		return settled(s.Revoke(r.PathValue("account"), in.Token))
	}))
	api.Handle("POST /accounts/{account}/standby", with(func(r *http.Request, in struct {
		Standby bool `json:"standby"`
	}) (any, error) {
		s.SetStandby(r.PathValue("account"), in.Standby)
		return done{true}, nil
	}))
	api.Handle("PUT /accounts/{account}/profile/{field}", with(func(r *http.Request, in json.RawMessage) (any, error) {
		if string(in) == "null" {
			in = nil
		}
		s.SetProfile(r.PathValue("account"), r.PathValue("field"), in)
		return done{true}, nil
	}))
	api.Handle("PUT /accounts/{account}/subscribed/{app}", with(func(r *http.Request, in []string) (any, error) {
		return settled(s.SetSubscribed(r.PathValue("account"), r.PathValue("app"), in...))
	}))
	api.Handle("POST /accounts/{account}/optin", with(func(r *http.Request, in struct {
		UserRef string `json:"userRef"`
		Ref     string `json:"ref"`
	}) (any, error) {
		return settled(s.OptIn(r.PathValue("account"), in.UserRef, in.Ref))
	}))
}

// gesture is what a person does to a message, or with a button.
type gesture struct {
	MID      string `json:"mid"`
	Text     string `json:"text"`
	Number   int    `json:"number"`
	Reaction string `json:"reaction"`
	Emoji    string `json:"emoji"`
	Title    string `json:"title"`
	Payload  string `json:"payload"`
	Ref      string `json:"ref"`
	NoMIDs   bool   `json:"noMIDs"`
	Hours    int    `json:"hours"`
}

func (s *Server) personEndpoints(api *control.API) {
	const person = "/accounts/{account}/people/{person}"
	who := func(r *http.Request) *Person { return s.Person(r.PathValue("account"), r.PathValue("person")) }
	api.Handle("POST "+person+"/messages", with(func(r *http.Request, in Words) (any, error) {
		mid, err := who(r).Write(in)
		return map[string]string{"mid": mid}, err
	}))
	for name, act := range map[string]func(*Person, gesture) error{
		"press":    func(p *Person, g gesture) error { return p.Press(g.Title, g.Payload) },
		"edit":     func(p *Person, g gesture) error { return p.Edit(g.MID, g.Text, g.Number) },
		"unsend":   func(p *Person, g gesture) error { return p.Unsend(g.MID) },
		"react":    func(p *Person, g gesture) error { return p.React(g.MID, g.Reaction, g.Emoji) },
		"read":     func(p *Person, _ gesture) error { return p.Read() },
		"receive":  func(p *Person, g gesture) error { return p.Receive(!g.NoMIDs) },
		"referral": func(p *Person, g gesture) error { return p.Refer(g.Ref) },
		"block":    func(p *Person, _ gesture) error { return p.Block() },
		"answer":   func(p *Person, g gesture) error { _, err := p.Answer(g.Text); return err },
		"age":      func(p *Person, g gesture) error { return p.Age(time.Duration(g.Hours) * time.Hour) },
	} {
		api.Handle("POST "+person+"/"+name, with(func(r *http.Request, in gesture) (any, error) { return settled(act(who(r), in)) }))
	}
	api.Handle("GET "+person+"/transcript", func(r *http.Request) (any, error) {
		n, err := control.WaitFor(r)
		if err != nil {
			return nil, err
		}
		ctx, cancel, err := control.Wait(r)
		if err != nil {
			return nil, err
		}
		defer cancel()
		_, err = who(r).WaitMessages(ctx, n)
		out := map[string]any{"entries": who(r).Transcript(r.URL.Query().Get("from"), r.URL.Query().Get("event"))}
		if err != nil {
			return nil, control.TimedOut(err, out)
		}
		return out, nil
	})
}

func (s *Server) faultEndpoints(api *control.API) {
	api.Handle("GET /faults", func(*http.Request) (any, error) { return s.Faults(), nil })
	api.Handle("POST /faults", with(func(_ *http.Request, in Fault) (any, error) { return settled(s.AddFault(in)) }))
	api.Handle("DELETE /faults", func(*http.Request) (any, error) { s.ClearFaults(); return done{true}, nil })
	api.Handle("PUT /usage", with(func(_ *http.Request, in Usage) (any, error) { s.SetUsage(in); return done{true}, nil }))
	api.Handle("GET /calls", func(r *http.Request) (any, error) {
		n, err := control.WaitFor(r)
		if err != nil {
			return nil, err
		}
		ctx, cancel, err := control.Wait(r)
		if err != nil {
			return nil, err
		}
		defer cancel()
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		list, err := s.WaitCalls(ctx, r.URL.Query().Get("path"), after, n)
		out := map[string]any{"calls": list}
		if err != nil {
			return nil, control.TimedOut(err, out)
		}
		return out, nil
	})
}
