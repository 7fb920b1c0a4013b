package telegram

import (
	"encoding/json"
	"net/http"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
)

// otherEndpoints are of what is no message of a chat; see others.go.
func (s *Server) otherEndpoints(api *control.API) {
	chat := "/bots/{bot}/chats/{chat}"
	api.Handle("POST "+chat+"/ask", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Query string `json:"query"`
		}](r)
		if err != nil {
			return nil, err
		}
		id, err := cu.Ask(in.Query)
		return map[string]string{"id": id}, err
	}))
	api.Handle("GET /bots/{bot}/queries/{query}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		ctx, cancel, err := control.Wait(r)
		if err != nil {
			return nil, err
		}
		defer cancel()
		results, err := b.Customer(0).WaitResults(ctx, r.PathValue("query"))
		if err != nil {
			return nil, control.TimedOut(err, nil)
		}
		return map[string]any{"results": results}, nil
	}))
	api.Handle("POST /bots/{bot}/polls", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Question string   `json:"question"`
			Options  []string `json:"options"`
		}](r)
		if err != nil {
			return nil, err
		}
		return b.NewPoll(in.Question, in.Options...)
	}))
	api.Handle("POST "+chat+"/vote", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			Poll    string `json:"poll"`
			Options []int  `json:"options"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(cu.Vote(in.Poll, in.Options...))
	}))
	api.Handle("POST "+chat+"/join/{group}", s.withCustomer(func(cu *Customer, r *http.Request) (any, error) {
		return settled(cu.AskToJoin(parseID(r.PathValue("group"))))
	}))
	api.Handle("POST /bots/{bot}/groups/{group}/members", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		in, err := control.Decode[struct {
			User   int64  `json:"user"`
			Status string `json:"status"`
		}](r)
		if err != nil {
			return nil, err
		}
		return settled(b.SetMember(parseID(r.PathValue("group")), in.User, in.Status))
	}))
	api.Handle("POST /bots/{bot}/groups/{group}/messages/{message}/reactions", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		counts, err := control.Decode[map[string]int](r)
		if err != nil {
			return nil, err
		}
		return settled(b.CountReactions(parseID(r.PathValue("group")), parseID(r.PathValue("message")), counts))
	}))
	api.Handle("POST /bots/{bot}/updates/{kind}", s.withBot(func(b *Bot, r *http.Request) (any, error) {
		payload, err := control.Decode[json.RawMessage](r)
		if err != nil {
			return nil, err
		}
		return settled(b.SendUpdate(r.PathValue("kind"), payload))
	}))
}
