package store

import (
	"context"
	"time"
)

// Desk is what the desks of agents ask of the store, and who runs them: who has
// a conversation, who is there, what waits. What is outside the scope is
// ErrNotFound.
type Desk interface {
	// Request, Pass, Take and Release change the owner of a conversation, whose
	// epoch must be the given one: else ErrConflict.
	Request(ctx context.Context, s Scope, conversation string, by Owner, epoch int64) (Conversation, error)
	Pass(ctx context.Context, s Scope, conversation string, to Owner, epoch int64) (Conversation, error)
	Take(ctx context.Context, s Scope, conversation string, by Owner, epoch int64) (Conversation, error)
	Release(ctx context.Context, s Scope, conversation string, epoch int64) (Conversation, error)
	// OwnerChanges of a conversation, in their order.
	OwnerChanges(ctx context.Context, s Scope, conversation string, q PageQuery) (Page[OwnerChange], error)

	// Agents of a namespace ("": of all in scope), in the order of their ids.
	Agents(ctx context.Context, s Scope, namespace string, q PageQuery) (Page[Agent], error)
	Agent(ctx context.Context, s Scope, id string) (Agent, error)
	CreateAgent(ctx context.Context, s Scope, spec AgentSpec) (Agent, error)
	UpdateAgent(ctx context.Context, s Scope, id string, spec AgentSpec) (Agent, error)
	// DeleteAgent removes an agent; what they have goes back to its queues.
	DeleteAgent(ctx context.Context, s Scope, id string) error
	// Heartbeat says that an agent is there; state is online, away, offline, or ""
	// for what it was.
	Heartbeat(ctx context.Context, s Scope, id, state string) (Agent, error)

	// Offers that are open to an agent; it waits for one if there is none.
	Offers(ctx context.Context, s Scope, agent string, wait time.Duration) ([]AgentOffer, error)
	// AcceptOffer and DeclineOffer answer an offer; ErrConflict when it is over. The
	// same write again is answered with the conversation as it is now.
	AcceptOffer(ctx context.Context, s Scope, id string) (Conversation, error)
	DeclineOffer(ctx context.Context, s Scope, id string) (Conversation, error)

	// Queues in scope, by name.
	Queues(ctx context.Context, s Scope) ([]Queue, error)
	// Queue by "namespace/name".
	Queue(ctx context.Context, s Scope, name string) (Queue, error)
}

var _ Desk = (*Store)(nil)
