package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// A sticky step does not keep for an agent what she can never have: others do not
// overtake it, and colleagues do not stand idle.
func TestNothingIsReservedForWhoCanNeverHaveIt(t *testing.T) {
	for name, unable := range map[string]func(a *AgentSpec){
		"skills": func(a *AgentSpec) { a.Skills = nil },
		"class":  func(a *AgentSpec) { a.ClassUnits = map[routing.ChannelClass]int{routing.ClassChat: 0} },
		"units":  func(a *AgentSpec) { a.Units = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			known := routing.Step{Name: "known", Sticky: &routing.Sticky{}, BackendRefs: []routing.BackendRef{toQueue(general)}}
			known.Skills.Required = []routing.Skill{{Name: "lang/fr"}}
			r := newRouted(t, inbound(rule("all", known)))
			r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
			require.Empty(t, r.reload())
			d := r.desk()
			french := func(a *AgentSpec) { a.Skills = map[string]int{"lang/fr": 5} }
			ana := d.agent("ana", french, unable)
			v := r.hear("c1", "hello")
			r.assign(v, Owner{OwnerAgent, ana})
			r.resolve(v)
			r.clock.advance(25 * time.Hour)
			d.turn()
			d.beat(ana, "online")
			w := r.hear("c1", "bonjour")
			require.Equal(t, ana, r.lastDecision(w).Target.Agent)
			bob := d.agent("bob", french)
			d.turn()
			r.wantOwner(w, OwnerAgent, bob)
			d.checkCounters()
		})
	}
}
