package rest

import (
	"context"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (e *stub) Routing(_ context.Context, s store.Scope, _ string, _ store.PageQuery) (store.Routing, error) {
	d := routing.Decision{Policy: "shop/inbound", Hash: "h", Action: routing.ActionRoute, Via: routing.ViaDefault, Match: -1}
	return store.Routing{Position: &routing.Position{Policy: "shop/inbound"}, Decisions: store.Page[store.RoutingDecision]{
		Items: []store.RoutingDecision{{ID: "d", Decision: d, Exact: true, Explanation: &routing.Explanation{Decision: d, Exact: true}}}}}, e.seen(s)
}

func (e *stub) SetAttributes(_ context.Context, s store.Scope, id string, attributes map[string]string) (store.Contact, error) {
	return store.Contact{ID: id, Attributes: attributes}, e.seen(s)
}

func (e *stub) UpdateConversation(_ context.Context, s store.Scope, id string, u store.ConversationUpdate) (store.Conversation, error) {
	c := store.Conversation{ID: id}
	if u.Priority != nil {
		c.Priority = *u.Priority
	}
	if u.Labels != nil {
		c.Labels = *u.Labels
	}
	if u.Topics != nil {
		c.Topics = *u.Topics
	}
	if u.Language != nil {
		c.Language = routing.Language{Code: *u.Language, Source: routing.LanguageSet}
	}
	return c, e.seen(s)
}
