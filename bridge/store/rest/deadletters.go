package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerDeadLetters() {
	const tag = "Dead letters"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/dead-letters", "list-dead-letters", tag,
		"Outbound messages that failed, were cancelled, or whose outcome is unknown, oldest first", document.AccessRead, 404), a.listDeadLetters)
	requeue := operation(http.MethodPost, "/v1/dead-letters/{id}:requeue", "requeue-dead-letter", tag,
		"Send again what of a dead letter was not sent", document.AccessWrite, 400, 404, 409, 413)
	requeue.Description = "Parts that were sent stay sent, unless a receipt failed them. It goes before what its contact is still to get, as it is older. " +
		"What was cancelled can be sent once its Channel is in this ConversationStore again. " +
		"409 when it is no dead letter (any more), or could not be sent either: the Channel is gone, the contact cannot be written to, " +
		"a bot no longer has the conversation. Needs access write."
	huma.Register(a.huma, requeue, a.requeue)
}

// DeadLetter is an outbound message that will not be sent any more by itself.
type DeadLetter struct {
	Message  Message    `json:"message" doc:"Its status is failed, unknown or cancelled, its reason says why."`
	Attempts int        `json:"attempts" doc:"How often it was tried."`
	Parts    []DeadPart `json:"parts" nullable:"false" doc:"The platform messages that it consists of."`
}

// DeadPart is one platform message of a dead letter.
type DeadPart struct {
	Index int    `json:"index"`
	State string `json:"state" enum:"queued,sending,sent,failed,unknown,held,cancelled" doc:"unknown: it may have been sent. held, cancelled: not tried, because of the others."`
}

func viewDeadLetter(d store.DeadLetter) DeadLetter {
	return DeadLetter{Message: viewMessage(d.Message), Attempts: d.Attempts, Parts: viewAll(d.Parts, viewDeadPart)}
}

func viewDeadPart(p store.DeadPart) DeadPart { return DeadPart(p) }

type listDeadLettersInput struct {
	PageParams
	Channel string `query:"channel" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" doc:"Only of this Channel (namespace/name)."`
	Status  string `query:"status" enum:"failed,unknown,cancelled" doc:"Only those that failed, or only those whose outcome is unknown; all of both when left out. Or those that were cancelled when their Channel was deleted, or moved to another ConversationStore."`
}

func (a *API) listDeadLetters(ctx context.Context, in *listDeadLettersInput) (*output[Page[DeadLetter]], error) {
	page, err := a.engine.DeadLetters(ctx, scopeOf(ctx), store.DeadLetterQuery{
		PageQuery: in.query(), Channel: in.Channel, Status: message.Status(in.Status),
	})
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[DeadLetter]]{viewPage(page, viewDeadLetter)}, nil
}

type requeueInput struct {
	IDParam
	KeyParam
	Body struct {
		Unknown string `json:"unknown,omitempty" enum:"resend,skip" doc:"What to do with parts whose outcome was never learnt: resend sends them again, which the contact may get twice; skip takes them as sent. Needed where there are any."`
	}
}

func (a *API) requeue(ctx context.Context, in *requeueInput) (*output[Message], error) {
	scope := in.scope(ctx, "requeue", in.ID, in.Body)
	m, err := a.engine.Requeue(ctx, scope, in.ID, store.UnknownPolicy(in.Body.Unknown))
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[Message]{viewMessage(m)}, nil
}
