package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// leap is a clock that is wrong for a while: by more than every wait but a
// Retry-After.
const leap = 10 * time.Hour

// What was queued, was waited for, or was being sent while the clock was ahead
// goes on once it is right, in order, and arrives once.
func TestClockThatWentBackHoldsNoMessageUp(t *testing.T) {
	b := newBox(t, testCaps)
	var convs, want []string
	for i := range 4 {
		convs = append(convs, b.met(telegram, numbered("c", i)))
	}
	other := b.met(telegram, "c-other")
	b.clock.advance(leap)
	var first []string
	for _, c := range convs[:3] {
		first = append(first, b.send(c, "first"))
	}
	ds := b.lease(10)
	require.Len(t, ds, 3)
	retry := of(ds[0], 0, wire.OutcomeRetry)
	retry.Class, retry.Scope, retry.RetryAfter = wire.ErrRateLimited, wire.ScopeContact, time.Hour
	b.report(of(ds[0], 0, wire.OutcomeSending), retry)
	b.sent(ds[1])
	require.Equal(t, []bool{true}, b.report(of(ds[2], 0, wire.OutcomeSending))) // and it is on its way
	first = append(first, b.send(convs[3], "first"))
	want = append(want, first...)

	b.clock.advance(-leap)
	for _, c := range append(convs, other) {
		want = append(want, b.send(c, "second"))
	}
	arrived := map[string]int{ds[1].ID: 1}
	take := func() (n int) {
		for _, d := range b.lease(10) {
			b.sent(d)
			arrived[d.ID]++
			n++
		}
		return n
	}
	require.Equal(t, 4, take(), "all at once but the lane of what is on its way")
	require.Equal(t, 1, arrived[ds[0].ID])
	require.Equal(t, 1, arrived[first[3]])
	require.Equal(t, 2, take())
	require.Zero(t, take())
	require.Equal(t, []bool{true}, b.report(of(ds[2], 0, wire.OutcomeSent)), "its lease is not over")
	arrived[ds[2].ID]++
	require.Equal(t, 1, take())
	require.Len(t, arrived, len(want))
	for _, id := range want {
		require.Equal(t, 1, arrived[id], id)
		require.Equal(t, message.StatusSent, b.status(id))
	}
	require.Zero(t, count(t, b.Store, "lanes WHERE due_at > 0 OR lease_until > 0"))
}

// A bridge that died while the clock was ahead holds its lane for a lease.
func TestClockThatWentBackEndsLeasesInTime(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	b.clock.advance(leap)
	id := b.send(conv, "hello")
	b.leaseOne()
	b.clock.advance(-leap)
	require.NoError(t, b.followClock(t.Context()))
	require.Empty(t, b.lease(10))
	b.clock.advance(leaseFor)
	require.Equal(t, id, b.leaseOne().ID)
}

// A replica that wrote nothing while the clock was ahead learns of it from what
// another one wrote, which is gone since.
func TestReplicaThatWroteNothingNoticesTheClock(t *testing.T) {
	postgresOnly(t)
	for name, write := range map[string]func(b *box, conv string){
		"a message": func(b *box, conv string) { b.send(conv, "hello") },
		"a lease":   func(b *box, _ string) { require.Len(t, b.lease(10), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: testTime}
			opts := onBackend(t, Options{Dir: t.TempDir(), Now: c.Now, Capabilities: map[string]platform.Capabilities{"telegram": testCaps}})
			var boxes []*box
			for range 2 {
				b := &box{Store: openTestStore(t, opts), t: t, clock: c}
				b.load()
				boxes = append(boxes, b)
			}
			idle, gone := boxes[0], boxes[1]
			conv := gone.met(telegram, "c1")
			if name == "a lease" {
				gone.send(conv, "hello")
			}
			look := func() {
				t.Helper()
				require.NoError(t, idle.noticeClock(t.Context()))
				require.NoError(t, idle.followClock(t.Context()))
			}
			look()
			c.advance(leap)
			write(gone, conv)
			require.NoError(t, gone.Close())
			c.advance(-leap)
			look()
			c.advance(leaseFor)
			require.Len(t, idle.lease(10), 1)
			_, by := idle.clockWentBack()
			require.Zero(t, by)
			look()
			_, by = idle.clockWentBack()
			require.Zero(t, by, "it is noticed once")
		})
	}
}

// A clock that leaps ahead, by more than a message is tried for, ends no retry:
// neither of what waits, nor of what is being sent meanwhile.
func TestClockThatLeapsAheadGivesNoRetryUp(t *testing.T) {
	caps := testCaps
	caps.Idempotent = true // what is being sent is sent again
	b := newBox(t, caps)
	convs := []string{b.met(telegram, "c1"), b.met(telegram, "c2")}
	var ids []string
	for _, c := range convs {
		ids = append(ids, b.send(c, "hello"))
	}
	retry := func(d wire.Delivery) {
		t.Helper()
		r := of(d, 0, wire.OutcomeRetry)
		r.Class, r.Scope, r.RetryAfter = wire.ErrRateLimited, wire.ScopeContact, time.Second
		require.Equal(t, []bool{true}, b.report(r))
	}
	ds := b.lease(10)
	require.Len(t, ds, 2)
	retry(ds[0])
	require.Equal(t, []bool{true}, b.report(of(ds[1], 0, wire.OutcomeSending)))
	began := b.clock.Now()
	for range 3 {
		b.clock.advance(giveUpAfter + leap)
		require.NoError(t, b.expireLeases(t.Context()))
		b.clock.advance(time.Second)
		again := b.lease(10)
		require.Len(t, again, 2)
		for _, d := range again {
			retry(d)
		}
		for _, id := range ids {
			require.Equal(t, message.StatusQueued, b.status(id))
		}
	}
	leapt := b.clock.Now()
	for b.status(ids[0]) == message.StatusQueued { // it is tried for as long as ever
		b.clock.advance(time.Minute)
		for _, d := range b.lease(10) {
			retry(d)
		}
	}
	b.wantStatus(ids[0], message.StatusFailed, "given up after")
	require.InDelta(t, giveUpAfter.Hours(), b.clock.Now().Sub(leapt).Hours(), 0.5)
	require.Less(t, 4*giveUpAfter, b.clock.Now().Sub(began))
}

// What a platform asked for while the clock was ahead is not waited for by the
// wrong time: one delivery asks again.
func TestClockThatWentBackEndsAChannelsPause(t *testing.T) {
	b := newBox(t, testCaps)
	conv, other := b.met(telegram, "c1"), b.met(telegram, "c2")
	b.clock.advance(leap)
	id := b.send(conv, "hello")
	d := b.leaseOne()
	r := of(d, 0, wire.OutcomeRetry)
	r.Class, r.Scope, r.RetryAfter = wire.ErrRateLimited, wire.ScopeChannel, time.Hour
	b.report(of(d, 0, wire.OutcomeSending), r)
	b.clock.advance(-leap)
	b.send(other, "hello")
	probe := b.leaseOne()
	b.sent(probe)
	next := b.leaseOne()
	b.sent(next)
	require.Contains(t, []string{probe.ID, next.ID}, id)
}

// A store that was stopped while the clock was ahead knows so by its ids.
func TestClockThatWentBackWhileTheStoreWasStopped(t *testing.T) {
	c := &clock{now: testTime.Add(leap)}
	b := &box{t: t, clock: c}
	dir := t.TempDir()
	opts := Options{Dir: dir, Now: c.Now, Capabilities: map[string]platform.Capabilities{"telegram": testCaps}}
	b.Store = openTestStore(t, opts)
	b.load()
	conv := b.met(telegram, "c1")
	id := b.send(conv, "first")
	require.NoError(t, b.Close())
	c.advance(-leap)
	b.Store = openTestStore(t, opts)
	b.load()
	next := b.send(conv, "second")
	for _, want := range []string{id, next} {
		d := b.leaseOne()
		require.Equal(t, want, d.ID)
		b.sent(d)
	}
}

// Who waits for something to send hears of it as soon as somebody notices.
func TestClockThatWentBackWakesWhoWaits(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	b.clock.advance(leap)
	id := b.send(conv, "hello")
	b.clock.advance(-leap)
	w := b.outbox.bells.join(shopBridge)
	defer b.outbox.bells.leave(shopBridge, w)
	require.NoError(t, b.followClock(t.Context()))
	<-w.rung
	require.Equal(t, id, b.leaseOne().ID)
	_, by := b.clockWentBack()
	require.Zero(t, by, "and it is done once")
}

// Sessions of processes that died while the clock was ahead end in time, and
// media that are to be fetched are.
func TestClockThatWentBackFreesChannelsAndMedia(t *testing.T) {
	b := newBox(t, testCaps)
	b.clock.advance(leap)
	b.outbox.opened = b.now() // the store started then
	first, second := b.pod("pod-0"), b.pod("pod-1")
	first.beat()
	all := len(first.has)
	require.NotZero(t, all)
	photo := text("photo", "")
	photo.Message.Type, photo.Message.Attachments = message.TypeImage, []message.Attachment{{Kind: message.TypeImage, Ref: "ref"}}
	stored(t, b.Store, telegram, photo)
	b.clock.advance(-leap)
	require.NoError(t, b.followClock(t.Context()))
	second.beat()
	b.clock.advance(sessionTTL + time.Second)
	second.beat()
	require.Len(t, second.has, all, "the first one is dead")
	jobs, err := b.LeaseMedia(t.Context(), shopBridge, wire.MediaLeaseRequest{Instance: "pod-1", Max: 10})
	require.NoError(t, err)
	require.Len(t, jobs.Jobs, 1)
}

// Whatever the clock does, every message that a platform tells is stored once,
// in the order in which it came, and stays as long as retention says by the time
// that passes.
func TestClockThatLeapsLosesNothing(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"messages":"5h","raw":"5h","events":"5h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	var passed time.Duration
	s.passed = func() time.Duration { return passed }
	w := sweeper{s: s}
	var ids []string
	want := func(messages int) {
		t.Helper()
		require.NoError(t, w.sweep(t.Context()))
		require.NoError(t, s.forgetKeys(t.Context()))
		require.Equal(t, messages, count(t, s, "messages"))
		require.Equal(t, messages, count(t, s, "external_ids WHERE kind = 'message'"))
	}
	tell := func(n int) {
		t.Helper()
		for i := range n { // the platform tells all of it again and again
			r := ingest(t, s, telegram, text(numbered("m", i), "hello"))[0]
			if i < len(ids) {
				require.Equal(t, wire.ResultDuplicate, r.Result)
				require.Equal(t, ids[i], r.ID)
				continue
			}
			require.Equal(t, wire.ResultStored, r.Result)
			ids = append(ids, r.ID)
		}
	}
	want(0)
	tell(2)
	want(2)
	c.advance(leap) // ahead
	want(2)
	tell(4)
	passed += believeAfter / 2
	c.advance(believeAfter / 2)
	want(4)
	c.advance(-leap) // and back
	want(4)
	tell(6)
	require.IsIncreasing(t, ids)
	passed += time.Minute
	c.advance(time.Minute)
	want(6)

	// A clock that was behind all the time and is right now is believed after a while.
	c.advance(2 * leap)
	want(6)
	passed += believeAfter
	c.advance(believeAfter)
	want(0)
}

// Removals never go by a time that is ahead of both the clock and what has
// passed since the clock was believed last, and follow a clock that stays.
func TestSteadyClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c steadyClock
		now, passed := testTime, time.Duration(0)
		last := c.at(now, passed)
		stood := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			step := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "passes"))
			jump := time.Duration(0)
			switch by := time.Duration(rapid.Int64Range(int64(2*leapTolerance), int64(48*time.Hour)).Draw(t, "by")); rapid.IntRange(0, 15).Draw(t, "jumps") {
			case 0:
				jump = by
			case 1:
				jump = -by
			}
			now, passed, stood = now.Add(step+jump), passed+step, stood+step
			if jump != 0 {
				stood = 0
			}
			at := c.at(now, passed)
			require.False(t, at.After(now), "ahead of the clock")
			if stood < believeAfter {
				require.LessOrEqual(t, at.Sub(last), step+leapTolerance, "followed a leap")
			}
			last = at
		}
		c.at(now.Add(time.Second), passed+time.Second)
		passed += believeAfter + 2*time.Second
		now = now.Add(believeAfter + 2*time.Second)
		require.Equal(t, now, c.at(now, passed), "it stayed for long enough")
	})
}

// A process begins with the latest id in its database: the clock that it starts
// with may be wrong already.
func TestSteadyClockBegins(t *testing.T) {
	id := newIDSource("").next(testTime)
	for name, x := range map[string]struct{ now, want time.Time }{
		"right":  {testTime.Add(10 * time.Second), testTime.Add(10 * time.Second)},
		"ahead":  {testTime.Add(leap), testTime},
		"behind": {testTime.Add(-leap), testTime.Add(-leap)},
	} {
		var c steadyClock
		c.begin(id, x.now, 0)
		require.Equal(t, x.want, c.at(x.now, 0).UTC(), name)
	}
	var empty steadyClock
	empty.begin("", testTime, 0)
	require.Equal(t, testTime, empty.at(testTime, 0))
}

// A page of ids that are ahead of the clock is settled after a while all the same.
func TestSettlingGoesByTransactions(t *testing.T) {
	var x settling
	x.observe(100)
	x.observe(200)
	require.Zero(t, x.until())
	x.seen = x.seen.Add(-settleWithin - time.Second)
	require.EqualValues(t, 100, x.until())
	x.observe(300)
	x.observe(400)
	require.EqualValues(t, 100, x.until(), "what was committed since may have others below it")
	x.seen = x.seen.Add(-settleWithin - time.Second)
	require.EqualValues(t, 300, x.until())
}

// messageOf is the id of the message with an external id.
func messageCalled(t *testing.T, s *Store, externalID string) (id string) {
	t.Helper()
	found, err := one(t.Context(), s.read, []any{&id}, `SELECT id FROM messages WHERE external_id = ?`, externalID)
	require.NoError(t, err)
	require.True(t, found)
	return id
}

// A replica that hangs in a transaction keeps readers from what is not settled,
// and readers keep nobody from writing.
func TestListsDoNotWaitForAReplicaThatHangs(t *testing.T) {
	list := replicas(t, 2)
	hung, err := list[0].db.reader.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = hung.ExecContext(t.Context(), fmt.Sprintf(`SELECT pg_advisory_xact_lock_shared(%d)`, rootKey))
	require.NoError(t, err)
	const messages = 9
	for i := range messages {
		_, err := ingestOnce(list[i%2], telegram, textFrom(numbered("c", i), numbered("m", i), "x"))
		require.NoError(t, err)
	}
	q := RawQuery{PageQuery: PageQuery{Limit: messages - 1}}
	var slowest time.Duration
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			began := time.Now()
			if _, err := ingestOnce(list[1], telegram, textFrom("writer", numbered("w", i), "x")); err != nil {
				t.Error(err)
			}
			slowest = max(slowest, time.Since(began))
		}
	}()
	var cut Page[RawEntry]
	for range 20 {
		p, err := list[1].RawEntries(t.Context(), everything, q)
		require.NoError(t, err)
		require.Empty(t, p.Items, "somebody may go on from them")
		require.NotEmpty(t, p.Next, "it is not the end of the list")
		cut = p
	}
	stop()
	<-done
	require.Less(t, slowest, postgresPatience, "a writer waits for one reader's %s, not for the one that hangs", quietWait)
	whole, err := list[1].RawEntries(t.Context(), everything, RawQuery{PageQuery: PageQuery{Limit: 200}})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(whole.Items), messages, "a page that nobody can go on from is whole")

	contact := getMessage(t, list[1], messageCalled(t, list[1], numbered("w", 0))).Contact.ID
	of := MessageQuery{Contact: contact, PageQuery: PageQuery{Limit: 1}}
	early, err := list[1].Messages(t.Context(), everything, of)
	require.NoError(t, err)
	require.Empty(t, early.Items)
	require.NotEmpty(t, early.Next, "it is not the end of the list")

	require.NoError(t, hung.Rollback())
	list[1].commit.settling.loudUntil = time.Time{}
	q.After = cut.Next
	p, err := list[1].RawEntries(t.Context(), everything, q)
	require.NoError(t, err)
	require.Len(t, p.Items, messages-1, "who goes on from where it was cut finds the rest")
	require.NotEmpty(t, p.Next)
	of.After = early.Next
	first, err := list[1].Messages(t.Context(), everything, of)
	require.NoError(t, err)
	require.Len(t, first.Items, 1)
	require.Equal(t, numbered("w", 0), first.Items[0].ExternalID)
}
