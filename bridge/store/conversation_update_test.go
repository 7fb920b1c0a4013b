package store

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// update says something of a conversation, and checks that every view shows the same.
func (r *routed) update(v string, u ConversationUpdate) Conversation {
	r.t.Helper()
	c, err := r.UpdateConversation(r.t.Context(), everything, v, u)
	require.NoError(r.t, err)
	require.Equal(r.t, c, getConversation(r.t, r.Store, v))
	page, err := r.Conversations(r.t.Context(), everything, ConversationQuery{Channel: telegram})
	require.NoError(r.t, err)
	require.Contains(r.t, page.Items, c)
	at := r.routing(v)
	require.Equal(r.t, []any{c.Priority, c.Labels, c.Topics}, []any{at.Priority, at.Labels, at.Topics})
	return c
}

// A bot of REST says what it has found out, and lets go: the rules go by it.
func TestRulesGoByWhatIsSaidOfAConversation(t *testing.T) {
	outage := rule("outage", step("vip", toQueue(vip)))
	outage.Matches = []routing.Match{{Labels: map[string]string{"region": "north"}, Topics: []string{"outage"}}}
	r := newRouted(t, inbound(outage, rule("all", step("bot", toBot(menuBot)), step("people", toQueue(general)))))
	v := r.hear("c1", "x")
	r.run()
	priority, labels, topics := routing.PriorityHigh, map[string]string{"region": "north"}, []string{"outage", "new"}
	c := r.update(v, ConversationUpdate{Priority: &priority, Labels: &labels, Topics: &topics})
	require.Equal(t, []any{priority, labels, topics}, []any{c.Priority, c.Labels, c.Topics})
	r.wantOwner(v, OwnerBot, menuBot)
	fewer := []string{"outage"}
	c = r.update(v, ConversationUpdate{Topics: &fewer})
	require.Equal(t, []any{priority, labels, fewer}, []any{c.Priority, c.Labels, c.Topics}, "what is absent stays")
	c, err := r.Release(t.Context(), everything, v, c.Epoch)
	require.NoError(t, err)
	require.Equal(t, Owner{OwnerQueue, vip}, c.Owner)
	require.Equal(t, []any{priority, labels, fewer}, []any{c.Priority, c.Labels, c.Topics})

	none, empty := map[string]string{}, []string{}
	c = r.update(v, ConversationUpdate{Labels: &none, Topics: &empty})
	require.Empty(t, c.Labels)
	require.Empty(t, c.Topics)
}

func TestThePriorityCountsWhereItWaits(t *testing.T) {
	r := newRouted(t, inbound())
	r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
	require.Empty(t, r.reload())
	first := r.hear("c1", "x")
	r.clock.advance(time.Second)
	second := r.hear("c2", "x")
	urgent := routing.PriorityUrgent
	r.update(second, ConversationUpdate{Priority: &urgent})
	d := r.desk()
	ana := d.agent("ana", func(a *AgentSpec) { a.Units = 25 })
	d.turn()
	r.wantOwner(second, OwnerAgent, ana)
	r.wantOwner(first, OwnerQueue, general)
	r.update(second, ConversationUpdate{Priority: &urgent})
	d.checkCounters()
}

func TestWhatIsSaidOfAConversationIsChecked(t *testing.T) {
	r := newRouted(t)
	v := r.hear("c1", "x")
	long := strings.Repeat("x", routing.MaxValueBytes+1)
	wrong, many := routing.Priority("high"), make([]string, maxTopics+1)
	for field, u := range map[string]ConversationUpdate{
		"priority":   {Priority: &wrong},
		"labels":     {Labels: &map[string]string{"": "x"}},
		"labels.a":   {Labels: &map[string]string{"a": long}},
		"topics":     {Topics: &many},
		"topics[0]":  {Topics: &[]string{""}},
		"topics[1]":  {Topics: &[]string{"a", "a"}},
		"topics[2]":  {Topics: &[]string{"a", "b", "c\x00"}},
		"topics[00]": {Topics: &[]string{long}},
	} {
		_, err := r.UpdateConversation(t.Context(), everything, v, u)
		fe := (*FieldError)(nil)
		require.ErrorAs(t, err, &fe, field)
		require.Equal(t, strings.Replace(field, "00", "0", 1), fe.Field)
	}
	_, err := r.UpdateConversation(t.Context(), Scope{Namespaces: []string{"bank"}}, v, ConversationUpdate{})
	require.ErrorIs(t, err, ErrNotFound)
}

// Who did not hear the answer asks again, with the same key.
func TestAnOfferIsAnsweredOncePerKey(t *testing.T) {
	d := testDesk(t, routing.QueueSpec{Name: support})
	ana := d.agent("ana")
	v := d.arrives("c1", support)
	d.turn()
	o := d.offers(ana)[0].ID
	scope := Scope{Namespaces: []string{"bank", "shop"}, Write: Write{Key: "k1", Fingerprint: "accept " + o}}
	c, err := d.AcceptOffer(t.Context(), scope, o)
	require.NoError(t, err)
	require.Equal(t, Owner{OwnerAgent, ana}, c.Owner)
	for _, all := range []bool{false, true} {
		scope.All = all
		again, err := d.AcceptOffer(t.Context(), scope, o)
		require.NoError(t, err)
		require.Equal(t, c, again)
	}
	scope.All = false
	for name, other := range map[string]Scope{
		"without a key":     {All: true},
		"another key":       {All: true, Write: Write{Key: "k2", Fingerprint: "accept " + o}},
		"another write":     {All: true, Write: Write{Key: "k1", Fingerprint: "decline " + o}},
		"another namespace": {Namespaces: []string{"bank"}, Write: scope.Write},
	} {
		_, err := d.AcceptOffer(t.Context(), other, o)
		require.ErrorIs(t, err, ErrConflict, name)
	}
	_, err = d.Resolve(t.Context(), everything, v)
	require.NoError(t, err)
	again, err := d.AcceptOffer(t.Context(), scope, o)
	require.NoError(t, err)
	require.Equal(t, ConversationSolved, again.State, "as it is now")

	w := d.arrives("c2", support)
	d.turn()
	o = d.offers(ana)[0].ID
	_, err = d.DeclineOffer(t.Context(), Scope{All: true, Write: Write{Key: "k1", Fingerprint: "decline " + o}}, o)
	require.ErrorIs(t, err, ErrConflict, "the key is of another write")
	_, err = d.DeclineOffer(t.Context(), Scope{All: true, Write: Write{Key: "k3", Fingerprint: "decline " + o}}, o)
	require.NoError(t, err)
	_, err = d.DeclineOffer(t.Context(), Scope{All: true, Write: Write{Key: "k3", Fingerprint: "decline " + o}}, o)
	require.NoError(t, err)
	require.Equal(t, Owner{OwnerQueue, support}, d.owner(w))
	d.checkCounters()
}
