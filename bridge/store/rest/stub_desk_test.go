package rest

import (
	"context"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (e *stub) claimed(s store.Scope, id string, owner store.Owner, epoch int64) (store.Conversation, error) {
	return store.Conversation{ID: id, Owner: owner, Epoch: epoch + 1}, e.seen(s)
}

func (e *stub) Request(_ context.Context, s store.Scope, id string, by store.Owner, epoch int64) (store.Conversation, error) {
	return e.claimed(s, id, by, epoch)
}

func (e *stub) Pass(_ context.Context, s store.Scope, id string, to store.Owner, epoch int64) (store.Conversation, error) {
	return e.claimed(s, id, to, epoch)
}

func (e *stub) Take(_ context.Context, s store.Scope, id string, by store.Owner, epoch int64) (store.Conversation, error) {
	return e.claimed(s, id, by, epoch)
}

func (e *stub) Release(_ context.Context, s store.Scope, id string, epoch int64) (store.Conversation, error) {
	return e.claimed(s, id, store.Owner{Kind: store.OwnerNone}, epoch)
}

func (e *stub) OwnerChanges(_ context.Context, s store.Scope, _ string, _ store.PageQuery) (store.Page[store.OwnerChange], error) {
	return store.Page[store.OwnerChange]{}, e.seen(s)
}

func (e *stub) Agents(_ context.Context, s store.Scope, _ string, _ store.PageQuery) (store.Page[store.Agent], error) {
	return store.Page[store.Agent]{}, e.seen(s)
}

func (e *stub) Agent(_ context.Context, s store.Scope, id string) (store.Agent, error) {
	return store.Agent{ID: id}, e.seen(s)
}

func (e *stub) CreateAgent(_ context.Context, s store.Scope, spec store.AgentSpec) (store.Agent, error) {
	return store.Agent{ID: "a1", Namespace: spec.Namespace, Name: spec.Name}, e.seen(s)
}

func (e *stub) UpdateAgent(_ context.Context, s store.Scope, id string, spec store.AgentSpec) (store.Agent, error) {
	return store.Agent{ID: id, Name: spec.Name}, e.seen(s)
}

func (e *stub) DeleteAgent(_ context.Context, s store.Scope, _ string) error { return e.seen(s) }

func (e *stub) Heartbeat(_ context.Context, s store.Scope, id, state string) (store.Agent, error) {
	return store.Agent{ID: id, State: state}, e.seen(s)
}

func (e *stub) Offers(_ context.Context, s store.Scope, _ string, _ time.Duration) ([]store.AgentOffer, error) {
	return nil, e.seen(s)
}

func (e *stub) AcceptOffer(_ context.Context, s store.Scope, id string) (store.Conversation, error) {
	return store.Conversation{ID: id}, e.seen(s)
}

func (e *stub) DeclineOffer(_ context.Context, s store.Scope, id string) (store.Conversation, error) {
	return store.Conversation{ID: id}, e.seen(s)
}

func (e *stub) Queues(_ context.Context, s store.Scope) ([]store.Queue, error) { return nil, e.seen(s) }

func (e *stub) Queue(_ context.Context, s store.Scope, name string) (store.Queue, error) {
	return store.Queue{Name: name}, e.seen(s)
}
