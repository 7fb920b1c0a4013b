package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerConversations() {
	const tag, one = "Conversations", "/v1/conversations/{id}"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/conversations", "list-conversations", tag,
		"Conversations, latest activity first", document.AccessRead, 404), a.listConversations)
	huma.Register(a.huma, operation(http.MethodGet, one, "get-conversation", tag,
		"One conversation", document.AccessRead, 404), a.getConversation)
	update := operation(http.MethodPatch, one, "update-conversation", tag, "Say what rules and queues go by", document.AccessWrite, 400, 404, 409, 413)
	update.Description = "What is absent stays as it is. The priority counts at once where the conversation waits; rules look at all of it with the next decision: " +
		"a bot of your own says here what it has found out before it lets go of a conversation with :release. Needs access write."
	huma.Register(a.huma, update, a.updateConversation)
	huma.Register(a.huma, operation(http.MethodPost, one+":assign", "assign-conversation", tag,
		"Give a conversation an owner", document.AccessWrite, 400, 404, 409, 413), a.assign)
	huma.Register(a.huma, operation(http.MethodPost, one+":resolve", "resolve-conversation", tag,
		"Mark a conversation solved", document.AccessWrite, 404, 409), change(a, a.resolve))
	huma.Register(a.huma, operation(http.MethodPost, one+":snooze", "snooze-conversation", tag,
		"Put a conversation aside until a time", document.AccessWrite, 400, 404, 409, 413), a.snooze)
	huma.Register(a.huma, operation(http.MethodPost, one+":reopen", "reopen-conversation", tag,
		"Open a solved or snoozed conversation again", document.AccessWrite, 404, 409), change(a, a.reopen))
}

type listConversationsInput struct {
	PageParams
	Channel string `query:"channel" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" example:"shop/messenger-main" doc:"Only of this Channel (namespace/name)."`
	Contact string `query:"contact" maxLength:"128" doc:"Only of the contact with this id."`
	State   string `query:"state" enum:"open,pending,snoozed,solved"`
}

func (a *API) listConversations(ctx context.Context, in *listConversationsInput) (*output[Page[Conversation]], error) {
	page, err := a.engine.Conversations(ctx, scopeOf(ctx), store.ConversationQuery{
		PageQuery: in.query(), Channel: in.Channel, Contact: in.Contact, State: store.ConversationState(in.State),
	})
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[Conversation]]{viewPage(page, viewConversation)}, nil
}

func (a *API) getConversation(ctx context.Context, in *IDParam) (*output[Conversation], error) {
	return a.conversation(a.engine.Conversation(ctx, scopeOf(ctx), in.ID))
}

func (a *API) conversation(c store.Conversation, err error) (*output[Conversation], error) {
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[Conversation]{viewConversation(c)}, nil
}

type updateConversationInput struct {
	IDParam
	KeyParam
	Body struct {
		Priority string             `json:"priority,omitempty" enum:"Low,Normal,High,Urgent"`
		Labels   *map[string]string `json:"labels,omitempty" doc:"All of them: what is not named here is removed. At most 64, of 256 bytes each."`
		Topics   *[]string          `json:"topics,omitempty" maxItems:"64" doc:"All of them."`
		Language *string            `json:"language,omitempty" maxLength:"35" example:"pt-BR" doc:"BCP 47: what the contact speaks, as an agent or a bot has found out. It goes before the contact's profile and the Channel's default, here and in the contact's next conversations. Empty: nothing is said about it any more."`
	}
}

func (a *API) updateConversation(ctx context.Context, in *updateConversationInput) (*output[Conversation], error) {
	u := store.ConversationUpdate{Labels: in.Body.Labels, Topics: in.Body.Topics, Language: in.Body.Language}
	if in.Body.Priority != "" {
		priority := routing.Priority(in.Body.Priority)
		u.Priority = &priority
	}
	return a.conversation(a.engine.UpdateConversation(ctx, in.scope(ctx, "update", in.ID, in.Body), in.ID, u))
}

type assignInput struct {
	IDParam
	KeyParam
	Body struct {
		Owner Owner `json:"owner"`
		Epoch int64 `json:"epoch,omitempty" minimum:"0" doc:"When set, it must be the current epoch, else 409: somebody else was faster."`
	}
}

func (a *API) assign(ctx context.Context, in *assignInput) (*output[Conversation], error) {
	owner := store.Owner{Kind: store.OwnerKind(in.Body.Owner.Kind), Name: in.Body.Owner.Name}
	return a.conversation(a.engine.Assign(ctx, in.scope(ctx, "assign", in.ID, in.Body), in.ID, owner, in.Body.Epoch))
}

type snoozeInput struct {
	IDParam
	KeyParam
	Body struct {
		Until time.Time `json:"until" doc:"When it opens again by itself; a message from the contact opens it earlier."`
	}
}

func (a *API) snooze(ctx context.Context, in *snoozeInput) (*output[Conversation], error) {
	return a.conversation(a.engine.Snooze(ctx, in.scope(ctx, "snooze", in.ID, in.Body), in.ID, in.Body.Until))
}

// verbInput is what a verb without a body takes.
type verbInput struct {
	IDParam
	KeyParam
}

// change is a verb without a body. The engine's methods are looked up when
// they are called: the description is made without an engine.
func change(a *API, do func(ctx context.Context, in *verbInput) (store.Conversation, error)) func(context.Context, *verbInput) (*output[Conversation], error) {
	return func(ctx context.Context, in *verbInput) (*output[Conversation], error) {
		return a.conversation(do(ctx, in))
	}
}

func (a *API) resolve(ctx context.Context, in *verbInput) (store.Conversation, error) {
	return a.engine.Resolve(ctx, in.scope(ctx, "resolve", in.ID), in.ID)
}

func (a *API) reopen(ctx context.Context, in *verbInput) (store.Conversation, error) {
	return a.engine.Reopen(ctx, in.scope(ctx, "reopen", in.ID), in.ID)
}
