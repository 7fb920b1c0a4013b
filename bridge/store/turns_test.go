package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// writers are two scribes of one committer, without a database.
func twoWriters(bound int) (c *committer, a, b *scribe) {
	c = &committer{db: &database{batch: bound, shared: true}, queue: make(chan *job, 100)}
	c.turns = turns{again: make(chan struct{}, 1), held: map[*scribe]*locks{}}
	return c, &scribe{c: c}, &scribe{c: c}
}

// wants is a job that needs the outboxes of channels.
func wants(channels ...string) *job {
	j := &job{weight: 1, locks: newLocks(), done: make(chan error, 1)}
	for _, ch := range channels {
		j.locks.outbox(ch)
	}
	return j
}

func (c *committer) put(jobs ...*job) {
	for _, j := range jobs {
		c.queue <- j
	}
}

func TestWhoNeedsWhatAnotherWriterHoldsGathersMeanwhile(t *testing.T) {
	c, a, b := twoWriters(10)
	first, same, other, sameAgain := wants("x"), wants("x"), wants("y"), wants("x")
	c.put(first)
	assert.Equal(t, []*job{first}, a.collect(nil))
	c.put(same, other)
	assert.Equal(t, []*job{other}, b.collect(nil), "the other one waits for nobody")
	b.release()
	c.put(sameAgain)
	assert.Empty(t, b.collect(nil))
	a.release()
	assert.Equal(t, []*job{same, sameAgain}, a.collect(nil), "both in one transaction")
}

func TestNobodyPassesWhoIsPostponed(t *testing.T) {
	c, a, b := twoWriters(10)
	holds, both, late, free := wants("x"), wants("x", "y"), wants("y"), wants("z")
	c.put(holds)
	a.collect(nil)
	c.put(both, late, free)
	assert.Equal(t, []*job{free}, b.collect(nil), "who wants y waits behind who wants x and y")
	a.release()
	assert.Equal(t, []*job{both, late}, a.collect(nil))
}

func TestEverythingWaitsForEverybody(t *testing.T) {
	c, a, b := twoWriters(10)
	all, none := wants(), &job{weight: 1, done: make(chan error, 1)}
	all.locks.root = true
	c.put(wants("x"))
	a.collect(nil)
	c.put(all, wants("y"), none)
	assert.Equal(t, []*job{none}, b.collect(nil), "what needs no lock goes")
	b.release()
	a.release()
	assert.Len(t, a.collect(nil), 2)
}

func TestWhatHasNoRoomIsForTheOtherWriter(t *testing.T) {
	c, a, b := twoWriters(2)
	jobs := []*job{wants("a"), wants("b"), wants("a"), wants("c")}
	holds := wants("a", "b", "c")
	c.put(holds)
	a.collect(nil)
	c.put(jobs...)
	assert.Empty(t, b.collect(nil))
	a.release()
	assert.Equal(t, jobs[:2], a.collect(nil))
	assert.Len(t, c.turns.again, 1, "somebody looks for the rest")
	assert.Equal(t, jobs[3:], b.collect(nil))
	a.release()
	b.release()
	assert.Equal(t, jobs[2:3], b.collect(nil))
}

func TestWhoHasLeftIsForgotten(t *testing.T) {
	c, a, b := twoWriters(10)
	c.put(wants("x"))
	a.collect(nil)
	gone, stays := wants("x"), wants("x")
	c.put(gone, stays)
	assert.Empty(t, b.collect(nil))
	gone.state.Store(jobAbandoned)
	a.release()
	assert.Equal(t, []*job{stays}, b.collect(nil))
}

// Two sets meet where the database would let one wait for the other.
func TestLocksMeetWhereTheDatabaseWouldWait(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	set := rapid.Custom(func(rt *rapid.T) *locks {
		l := newLocks()
		for range rapid.IntRange(1, 4).Draw(rt, "locks") {
			switch ch := name.Draw(rt, "name"); rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				l.inbox(ch)
			case 1:
				l.party(ch, fmt.Sprint(rapid.IntRange(1, 2).Draw(rt, "party")))
			case 2:
				l.outbox(ch)
			case 3:
				l.fence(ch)
			case 4:
				l.root = rapid.IntRange(0, 9).Draw(rt, "root") == 0
				l.agents(ch)
			}
		}
		return l
	})
	rapid.Check(t, func(rt *rapid.T) {
		x, y := set.Draw(rt, "x"), set.Draw(rt, "y")
		waits := false
		for _, a := range x.ordered() {
			for _, b := range y.ordered() {
				waits = waits || a.key == b.key && (!a.shared || !b.shared)
			}
		}
		assert.Equal(rt, waits, x.meets(y), "%+v %+v", x, y)
		assert.Equal(rt, waits, y.meets(x))
	})
}
