package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerOwnership() {
	const tag, one = "Conversations", "/v1/conversations/{id}"
	stale := "409 when the epoch is over: somebody else has it by now. Needs access write."
	for _, verb := range []struct {
		name, summary, description string
	}{
		{"request", "Ask for a conversation", "Granted at once where no other agent has it: an agent gets what a bot or a queue has, or nobody; a bot what nobody has. Else 409: its agent can pass it. "},
		{"pass", "Give a conversation to somebody else", "The owner of this epoch gives it on. "},
		{"take", "Take a conversation from whoever has it", "For supervisors: the epoch says that they have seen who it is taken from. "},
		{"release", "Let go of a conversation", "It goes back to the queue that it came from, as old as it is. Where it came from none, its channel's policies say who gets it (of a bot, as if it had handed over), and without policies nobody has it. "},
	} {
		op := operation(http.MethodPost, one+":"+verb.name, verb.name+"-conversation", tag, verb.summary, document.AccessWrite, 400, 404, 409, 413)
		op.Description = verb.description + stale
		switch verb.name {
		case "pass":
			huma.Register(a.huma, op, a.pass)
		case "release":
			huma.Register(a.huma, op, a.release)
		default:
			huma.Register(a.huma, op, a.claim(verb.name))
		}
	}
	owners := operation(http.MethodGet, one+"/owners", "list-conversation-owners", tag, "Every change of a conversation's owner, in order", document.AccessRead, 404)
	owners.Description = "Together with the conversation's messages this is its transcript: a message was written while the owner was who the last change before it names. " +
		"Needs access read."
	huma.Register(a.huma, owners, a.listOwners)
}

type claimInput struct {
	IDParam
	KeyParam
	Body struct {
		By    Owner `json:"by" doc:"The agent (by id) or the bot (namespace/name) who gets it."`
		Epoch int64 `json:"epoch" minimum:"1" doc:"The conversation's epoch as the caller knows it."`
	}
}

// claim is the verbs by which somebody gets a conversation.
func (a *API) claim(verb string) func(context.Context, *claimInput) (*output[Conversation], error) {
	return func(ctx context.Context, in *claimInput) (*output[Conversation], error) {
		do := a.engine.Take
		if verb == "request" {
			do = a.engine.Request
		}
		by := store.Owner{Kind: store.OwnerKind(in.Body.By.Kind), Name: in.Body.By.Name}
		return a.conversation(do(ctx, in.scope(ctx, verb, in.ID, in.Body), in.ID, by, in.Body.Epoch))
	}
}

type passInput struct {
	IDParam
	KeyParam
	Body struct {
		To    Owner `json:"to" doc:"An agent (by id), a bot or a queue (namespace/name)."`
		Epoch int64 `json:"epoch" minimum:"1" doc:"The conversation's epoch as the caller knows it."`
	}
}

func (a *API) pass(ctx context.Context, in *passInput) (*output[Conversation], error) {
	to := store.Owner{Kind: store.OwnerKind(in.Body.To.Kind), Name: in.Body.To.Name}
	return a.conversation(a.engine.Pass(ctx, in.scope(ctx, "pass", in.ID, in.Body), in.ID, to, in.Body.Epoch))
}

type releaseInput struct {
	IDParam
	KeyParam
	Body struct {
		Epoch int64 `json:"epoch" minimum:"1" doc:"The conversation's epoch as the caller knows it."`
	}
}

func (a *API) release(ctx context.Context, in *releaseInput) (*output[Conversation], error) {
	return a.conversation(a.engine.Release(ctx, in.scope(ctx, "release", in.ID, in.Body), in.ID, in.Body.Epoch))
}

// OwnerChange is an entry of a conversation's transcript.
type OwnerChange struct {
	At       time.Time `json:"at"`
	Epoch    int64     `json:"epoch" doc:"Of the new owner."`
	From     Owner     `json:"from"`
	To       Owner     `json:"to"`
	Cause    string    `json:"cause" enum:"assigned,requested,passed,taken,released,routed,given,accepted,offline,removed,handover,survey" doc:"given: by a queue that assigns; offline: the agent went offline; removed: the agent was; handover: a bot gave it up; survey: the action of a SurveyCampaign opened it."`
	Caller   string    `json:"caller,omitempty" doc:"Name of the token by which it was asked for."`
	Decision string    `json:"decision,omitempty" doc:"Id of the routing decision that it follows from."`
}

func viewOwner(o store.Owner) Owner { return Owner{Kind: string(o.Kind), Name: o.Name} }

func viewOwnerChange(c store.OwnerChange) OwnerChange {
	return OwnerChange{At: c.At, Epoch: c.Epoch, From: viewOwner(c.From), To: viewOwner(c.To), Cause: string(c.Cause), Caller: c.Caller, Decision: c.Decision}
}

type listOwnersInput struct {
	IDParam
	PageParams
}

func (a *API) listOwners(ctx context.Context, in *listOwnersInput) (*output[Page[OwnerChange]], error) {
	page, err := a.engine.OwnerChanges(ctx, scopeOf(ctx), in.ID, in.query())
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[OwnerChange]]{viewPage(page, viewOwnerChange)}, nil
}
