package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingIsGivenToWhoWasRemoved(t *testing.T) {
	r := newRouted(t, inbound())
	ana := r.desk().agent("ana")
	v := r.hear("c1", "hello")
	require.NoError(t, r.DeleteAgent(t.Context(), everything, ana))
	ghost, epoch := Owner{OwnerAgent, ana}, getConversation(t, r.Store, v).Epoch
	for verb, give := range map[string]func() (Conversation, error){
		"owner.name": func() (Conversation, error) { return r.Assign(t.Context(), everything, v, ghost, 0) },
		"to.name":    func() (Conversation, error) { return r.Pass(t.Context(), everything, v, ghost, epoch) },
		"by.name":    func() (Conversation, error) { return r.Take(t.Context(), everything, v, ghost, epoch) },
		"request":    func() (Conversation, error) { return r.Request(t.Context(), everything, v, ghost, epoch) },
	} {
		_, err := give()
		var fe *FieldError
		require.ErrorAs(t, err, &fe, verb)
		require.Contains(t, fe.Message, "no such agent")
	}
	r.wantOwner(v, OwnerQueue, general)
	r.assign(v, Owner{OwnerAgent, "somebody of the caller's own desk"})
}

// On a channel with policies a queue of the caller's own desk would be left at once.
func TestAQueueWithoutANamespaceIsRefusedWherePoliciesAre(t *testing.T) {
	r := newRouted(t, inbound())
	v := r.hear("c1", "hello")
	_, err := r.Pass(t.Context(), everything, v, Owner{OwnerQueue, "billing"}, getConversation(t, r.Store, v).Epoch)
	var fe *FieldError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "to.name", fe.Field)
	r.attach()
	r.pass(v, Owner{OwnerQueue, "billing"})
}
