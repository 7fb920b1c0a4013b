package telegram

import (
	"net/http"
	"strconv"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
)

// Control is the HTTP form of the Go API; README.md lists the endpoints. It has
// no authentication: it belongs on a port that only tests reach.
func (s *Server) Control() http.Handler {
	api := &control.API{}
	s.worldEndpoints(api)
	s.botEndpoints(api)
	s.customerEndpoints(api)
	s.webhookEndpoints(api)
	s.otherEndpoints(api)
	return api
}

// withBot finds the bot of a path.
func (s *Server) withBot(h func(*Bot, *http.Request) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		b := s.Bot(parseID(r.PathValue("bot")))
		if b == nil {
			return nil, control.NotFound("bot %q: not found; create it with POST /control/bots", r.PathValue("bot"))
		}
		return h(b, r)
	}
}

// withCustomer finds who acts: ?from= in a group, else the user whose chat it
// is; ?business= names a business connection.
func (s *Server) withCustomer(h func(*Customer, *http.Request) (any, error)) func(*http.Request) (any, error) {
	return s.withBot(func(b *Bot, r *http.Request) (any, error) {
		chat, err := strconv.ParseInt(r.PathValue("chat"), 10, 64)
		if err != nil {
			return nil, control.NotFound("chat %q: not a number", r.PathValue("chat"))
		}
		cu := b.Customer(chat).OfBusiness(r.URL.Query().Get("business"))
		if chat < 0 {
			cu = b.Customer(parseID(r.URL.Query().Get("from"))).In(chat)
		}
		return h(cu, r)
	})
}

// done is the result of an endpoint that has none.
type done struct {
	OK bool `json:"ok"`
}

// settled turns an error into an endpoint's answer.
func settled(err error) (any, error) { return done{true}, err }

func (s *Server) worldEndpoints(api *control.API) {
	api.Handle("POST /users", func(r *http.Request) (any, error) {
		u, err := control.Decode[User](r)
		if err != nil {
			return nil, err
		}
		if u.ID < 0 {
			return nil, control.Bad("id: users have positive ids")
		}
		return s.NewUser(u), nil
	})
	api.Handle("POST /users/{user}/deactivate", func(r *http.Request) (any, error) {
		return settled(s.Deactivate(parseID(r.PathValue("user"))))
	})
	api.Handle("POST /groups", func(r *http.Request) (any, error) {
		spec, err := control.Decode[GroupSpec](r)
		if err != nil {
			return nil, err
		}
		return s.NewGroup(spec)
	})
	api.Handle("PUT /limits", func(r *http.Request) (any, error) {
		l, err := control.Decode[Limits](r)
		if err != nil {
			return nil, err
		}
		s.SetLimits(l)
		return l.withDefaults(), nil
	})
}

// State is what the control API shows of a bot.
type State struct {
	ID             int64       `json:"id"`
	Username       string      `json:"username"`
	Webhook        WebhookInfo `json:"webhook"`
	HasSecret      bool        `json:"hasSecret"` // the webhook has a secret token
	Polling        bool        `json:"polling"`   // a getUpdates call is waiting
	PendingUpdates int         `json:"pendingUpdates"`
	LostUpdates    int64       `json:"lostUpdates"` // the queue was full
	AllowedUpdates []string    `json:"allowedUpdates"`
	Profile        Profile     `json:"profile"`
}

// State returns what the control API shows of a bot.
func (b *Bot) State() State {
	profile := b.Profile()
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return State{
		ID: b.user.ID, Username: b.user.Username, Webhook: b.webhookInfo(), HasSecret: b.hook != nil && b.hook.secret != "",
		Polling: b.poll != nil, PendingUpdates: len(b.queue), LostUpdates: b.lost, AllowedUpdates: b.allowed.names(), Profile: profile,
	}
}

func (s *Server) botEndpoints(api *control.API) {
	api.Handle("GET /bots", func(*http.Request) (any, error) {
		out := []State{}
		for _, b := range s.Bots() {
			out = append(out, b.State())
		}
		return out, nil
	})
	api.Handle("POST /bots", func(r *http.Request) (any, error) {
		spec, err := control.Decode[BotSpec](r)
		if err != nil {
			return nil, err
		}
		b, err := s.AddBot(spec)
		if err != nil {
			return nil, err
		}
		return b.State(), nil
	})
	api.Handle("GET /bots/{bot}", s.withBot(func(b *Bot, _ *http.Request) (any, error) { return b.State(), nil }))
	api.Handle("POST /bots/{bot}/revoke", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Secret string `json:"secret"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(b.Revoke(in.Secret))
	}))
	api.Handle("GET /bots/{bot}/calls", s.withBot(getCalls))
	api.Handle("GET /bots/{bot}/files/{file}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		data, ok := b.File(r.PathValue("file"))
		if !ok {
			return nil, control.NotFound("file: not known to this bot, or forgotten")
		}
		return control.Raw{ContentType: "application/octet-stream", Data: data}, nil
	}))
	api.Handle("GET /bots/{bot}/faults", s.withBot(func(b *Bot, _ *http.Request) (any, error) { return b.Faults(), nil }))
	api.Handle("POST /bots/{bot}/faults", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		f, err := control.Decode[Fault](r)
		if err != nil {
			return nil, err
		}
		return b.AddFault(f)
	}))
	api.Handle("DELETE /bots/{bot}/faults", s.withBot(func(b *Bot, _ *http.Request) (any, error) {
		return map[string]int{"removed": b.ClearFaults("")}, nil
	}))
	api.Handle("DELETE /bots/{bot}/faults/{fault}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		if b.ClearFaults(r.PathValue("fault")) == 0 {
			return nil, control.NotFound("fault %q: not found", r.PathValue("fault"))
		}
		return done{true}, nil
	}))
}

func getCalls(b *Bot, r *http.Request) (any, error) {
	q := r.URL.Query()
	n, err := control.WaitFor(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := control.Wait(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	calls, err := b.WaitCalls(ctx, q.Get("method"), parseID(q.Get("after")), n)
	out := map[string]any{"calls": append([]Call{}, calls...)}
	if err != nil {
		return nil, control.TimedOut(err, out)
	}
	return out, nil
}

func (s *Server) webhookEndpoints(api *control.API) {
	api.Handle("GET /bots/{bot}/deliveries", s.withBot(func(b *Bot, _ *http.Request) (any, error) {
		return map[string]any{"deliveries": append([]Delivery{}, b.Deliveries()...)}, nil
	}))
	api.Handle("POST /bots/{bot}/webhook/takeover", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			URL    string `json:"url"`
			Secret string `json:"secret"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(b.TakeOverWebhook(in.URL, in.Secret))
	}))
	api.Handle("POST /bots/{bot}/webhook/inject", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[Injection](r)
		if err != nil {
			return nil, err
		}
		status, err := b.Inject(in)
		return map[string]int{"status": status}, err
	}))
	api.Handle("POST /bots/{bot}/business", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Owner  int64          `json:"owner"`
			Rights BusinessRights `json:"rights"`
		}](r)
		if err != nil {
			return nil, err
		}
		return b.ConnectBusiness(in.Owner, in.Rights)
	}))
	api.Handle("DELETE /bots/{bot}/business/{conn}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		return settled(b.DisconnectBusiness(r.PathValue("conn")))
	}))
	api.Handle("POST /bots/{bot}/groups/{group}/status", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Status string `json:"status"`
			By     int64  `json:"by"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(b.SetGroupStatus(parseID(r.PathValue("group")), in.Status, in.By))
	}))
	api.Handle("POST /bots/{bot}/groups/{group}/upgrade", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		id, err := b.UpgradeGroup(parseID(r.PathValue("group")))
		return map[string]int64{"id": id}, err
	}))
}

func (s *Server) customerEndpoints(api *control.API) {
	chat := "/bots/{bot}/chats/{chat}"
	api.Handle("GET /bots/{bot}/chats", s.withBot(func(b *Bot, _ *http.Request) (any, error) {
		return map[string]any{"chats": append([]Chat{}, b.Chats()...)}, nil
	}))
	api.Handle("GET "+chat+"/transcript", s.withBot(getTranscript))
	api.Handle("POST "+chat+"/messages", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		o, err := control.Decode[Outgoing](r)
		if err != nil {
			return nil, err
		}
		messages, err := cu.SendAll(o)
		return map[string]any{"messages": messages}, err
	}))
	api.Handle("POST "+chat+"/start", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Payload string `json:"payload"`
		}](r)
		if err != nil {
			return nil, err
		}
		return cu.Start(in.Payload)
	}))
	api.Handle("POST "+chat+"/block", s.withCustomer(func(cu *Customer, _ *http.Request) (any, error) { return settled(cu.Block()) }))
	api.Handle("POST "+chat+"/unblock", s.withCustomer(func(cu *Customer, _ *http.Request) (any, error) { return settled(cu.Unblock()) }))
	api.Handle("POST "+chat+"/press", s.withCustomer(press))
	api.Handle("POST "+chat+"/messages/{message}/press", s.withCustomer(press))
	api.Handle("POST "+chat+"/messages/{message}/edit", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Text string `json:"text"`
		}](r)
		if err != nil {
			return nil, err
		}
		return cu.Edit(parseID(r.PathValue("message")), in.Text)
	}))
	api.Handle("POST "+chat+"/messages/{message}/react", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Emoji []string `json:"emoji"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(cu.React(parseID(r.PathValue("message")), in.Emoji...))
	}))
	api.Handle("DELETE "+chat+"/messages/{message}", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		return settled(cu.Delete(parseID(r.PathValue("message"))))
	}))
	api.Handle("GET /bots/{bot}/callbacks/{callback}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		ctx, cancel, err := control.Wait(r)
		if err != nil {
			return nil, err
		}
		defer cancel()
		answer, err := b.Customer(0).WaitAnswer(ctx, r.PathValue("callback"))
		if err != nil {
			return nil, control.TimedOut(err, nil)
		}
		return answer, nil
	}))
}

func press(cu *Customer, r *http.Request) (any, error) {
	in, err := control.Decode[struct {
		Button string `json:"button"`
	}](r)
	if err != nil {
		return nil, err
	}
	id, err := cu.Press(parseID(r.PathValue("message")), in.Button)
	return map[string]string{"callbackID": id}, err
}

func getTranscript(b *Bot, r *http.Request) (any, error) {
	v := r.URL.Query()
	n, err := control.WaitFor(r)
	if err != nil {
		return nil, err
	}
	q := Query{
		Chat: parseID(r.PathValue("chat")), Business: v.Get("business"), After: parseID(v.Get("after")),
		From: v.Get("from"), Event: v.Get("event"), Count: n,
	}
	switch q.From {
	case "": // what tests wait for is nearly always the bot
		q.From = "bot"
	case "bot", "customer":
	case "all":
		q.From = ""
	default:
		return nil, control.Bad("from: use bot, customer or all")
	}
	ctx, cancel, err := control.Wait(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	entries, err := b.WaitTranscript(ctx, q)
	out := map[string]any{"entries": append([]Entry{}, entries...)}
	if err != nil {
		return nil, control.TimedOut(err, out)
	}
	return out, nil
}
