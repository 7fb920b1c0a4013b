package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Ana had the one, Bob the other of another address; the contacts are one person. What
// is reopened is hers who had it.
func TestReopenedAfterAMergeGoesToWhoHadIt(t *testing.T) {
	for name, online := range map[string]bool{"she is there": true, "she is not": false} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, inbound())
			d := r.desk()
			ana, bob := d.agent("ana"), d.agent("bob")
			v := r.hear("c1", "hello")
			r.assign(v, Owner{OwnerAgent, ana})
			r.resolve(v)
			r.clock.advance(time.Minute)
			w := r.hear("c2", "hello")
			r.assign(w, Owner{OwnerAgent, bob})
			_, err := r.MergeContacts(t.Context(), everything, getConversation(t, r.Store, v).Contact.ID, getConversation(t, r.Store, w).Contact.ID)
			require.NoError(t, err)
			d.beat(bob, "online")
			d.beat(ana, "offline")
			if online {
				d.beat(ana, "online")
			}
			require.Equal(t, v, r.hear("c1", "one more thing"))
			if online {
				r.wantOwner(v, OwnerAgent, ana)
			} else {
				r.wantOwner(v, OwnerQueue, general)
			}
		})
	}
}

// And one that no agent had is nobody's to get back.
func TestReopenedAfterAMergeIsNotAStrangers(t *testing.T) {
	r := newRouted(t, inbound())
	d := r.desk()
	bob := d.agent("bob")
	v := r.hear("c1", "hello")
	r.resolve(v)
	r.clock.advance(time.Minute)
	w := r.hear("c2", "hello")
	r.assign(w, Owner{OwnerAgent, bob})
	_, err := r.MergeContacts(t.Context(), everything, getConversation(t, r.Store, v).Contact.ID, getConversation(t, r.Store, w).Contact.ID)
	require.NoError(t, err)
	require.Equal(t, v, r.hear("c1", "one more thing"))
	r.wantOwner(v, OwnerQueue, general)
}

// Ana got it back when it was reopened, and goes: her team has nobody else, and the
// policy says who comes after it.
func TestWhatWasGivenBackBeginsAnewWhenItsAgentGoes(t *testing.T) {
	for how, goes := range map[string]func(r *routed, d *desk, ana, v string){
		"she is removed": func(r *routed, _ *desk, ana, _ string) {
			require.NoError(r.t, r.DeleteAgent(r.t.Context(), everything, ana))
		},
		"she goes offline": func(_ *routed, d *desk, ana, _ string) { d.beat(ana, "offline") },
	} {
		t.Run(how, func(t *testing.T) {
			r := escalating(t)
			d := r.desk()
			ana, bob := d.agent("ana", inTeam(vip)), d.agent("bob", inTeam(general))
			v := r.hear("c1", "x")
			d.turn()
			r.wantOwner(v, OwnerAgent, ana)
			r.resolve(v)
			require.Equal(t, v, r.hear("c1", "again"))
			r.wantOwner(v, OwnerAgent, ana)
			goes(r, d, ana, v)
			r.goes(12 * time.Minute)
			r.wantOwner(v, OwnerAgent, bob)
			d.checkCounters()
		})
	}
}
