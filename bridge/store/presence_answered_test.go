package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// Who answered once and then vanished loses what its contact writes into.
func TestWhoAnsweredAndVanishedLosesWhatIsWrittenInto(t *testing.T) {
	r := newRouted(t, inbound())
	r.set(entry(t, document.EntryAgentQueue, general, assigning(general)))
	require.Empty(t, r.reload())
	d := r.desk()
	ana := d.agent("ana")
	v, quiet := r.hear("c1", "hello"), r.hear("c2", "hello")
	d.turn()
	r.clock.advance(time.Second)
	d.says(v, "one moment")
	d.says(quiet, "done")
	d.beat(ana, "offline")
	bob := d.agent("bob")
	r.goes(time.Hour)
	r.wantOwner(v, OwnerAgent, ana)
	r.hear("c1", "are you there?")
	r.goes(unknownGrace + 2*time.Minute)
	d.beat(bob, "online")
	d.turn()
	r.wantOwner(v, OwnerAgent, bob)
	r.wantOwner(quiet, OwnerAgent, ana)
	d.checkCounters()
}
