package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// pod is a bridge process that keeps a session.
type pod struct {
	b        *box
	instance string
	revision int64
	has      map[string]wire.Assignment
}

func (b *box) pod(instance string) *pod { return &pod{b: b, instance: instance} }

// beat renews the session and returns whether the channels changed.
func (p *pod) beat() bool {
	p.b.t.Helper()
	resp, err := p.b.Session(p.b.t.Context(), shopBridge, wire.SessionRequest{Instance: p.instance, Revision: p.revision})
	require.NoError(p.b.t, err)
	require.Equal(p.b.t, sessionTTL, resp.TTL)
	p.revision = resp.Revision
	if resp.Changed {
		p.has = map[string]wire.Assignment{}
		for _, a := range resp.Assignments {
			p.has[a.Channel] = a
		}
	}
	return resp.Changed
}

func (p *pod) close() {
	p.b.t.Helper()
	_, err := p.b.Session(p.b.t.Context(), shopBridge, wire.SessionRequest{Instance: p.instance, Close: true})
	require.NoError(p.b.t, err)
}

// poll ingests a batch under the fence of the pod's assignment.
func (p *pod) poll(channel, cursor string, events ...message.Event) wire.Result {
	p.b.t.Helper()
	env := envelope(channel, events...)
	env.Transport, env.Fence = "polling", &wire.Fence{Token: p.has[channel].Token, Cursor: cursor}
	return ingestEnvelope(p.b.t, p.b.Store, env)[0].Result
}

// manyChannels loads n channels of the shop's Bridge.
func (b *box) manyChannels(n int) {
	b.t.Helper()
	entries := testEntries(b.t)[:2]
	for i := range n {
		entries = append(entries, b.channel(fmt.Sprintf("shop/c%d", i), nil))
	}
	b.load(entries...)
}

func TestOneSessionHasEverything(t *testing.T) {
	b := newBox(t, testCaps)
	p := b.pod("pod-0")
	require.True(t, p.beat())
	require.Len(t, p.has, 2)
	require.Equal(t, int64(1), p.has[telegram].Token)
	require.NotContains(t, p.has, foreign, "a channel of another Bridge")
	require.False(t, p.beat())

	_, err := b.Session(t.Context(), shopBridge, wire.SessionRequest{})
	var fe *FieldError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "instance", fe.Field)
}

func TestAJoiningSessionGetsItsShareAndFencesTheOldHolder(t *testing.T) {
	b := newBox(t, testCaps)
	b.manyChannels(10)
	first, second := b.pod("pod-0"), b.pod("pod-1")
	first.beat()
	old := *first
	require.True(t, second.beat())
	require.Len(t, second.has, 5)
	var moved string
	for moved = range second.has {
		require.Equal(t, int64(2), second.has[moved].Token)
	}
	require.Equal(t, wire.ResultStale, old.poll(moved, "5", text("m1", "late")), "the old holder is fenced")
	require.Equal(t, wire.ResultStored, second.poll(moved, "5", text("m1", "in time")))
	require.True(t, first.beat())
	require.Len(t, first.has, 5)
	require.NotContains(t, first.has, moved)
	require.False(t, second.beat(), "nothing changed since")
	require.False(t, first.beat())
}

func TestADeadSessionIsTakenOverWithinSecondsAndTheCursorStays(t *testing.T) {
	b := newBox(t, testCaps)
	b.manyChannels(4)
	first, second := b.pod("pod-0"), b.pod("pod-1")
	first.beat()
	second.beat()
	first.beat()
	for channel := range first.has {
		require.Equal(t, wire.ResultStored, first.poll(channel, "cursor of "+channel, text("m1", "hello")))
	}
	b.clock.advance(sessionTTL) // the store itself runs longer than a session now
	require.False(t, first.beat())
	died := b.clock.Now()
	for !second.beat() {
		b.clock.advance(sessionTTL / 3)
		require.Less(t, b.clock.Now().Sub(died), 10*time.Second)
	}
	require.Greater(t, b.clock.Now().Sub(died), sessionTTL-time.Second, "and not before it is surely over")
	require.Len(t, second.has, 4)
	for channel := range first.has {
		require.Equal(t, "cursor of "+channel, second.has[channel].Cursor)
		require.Greater(t, second.has[channel].Token, first.has[channel].Token)
		require.Equal(t, wire.ResultStale, first.poll(channel, "x", text("m2", "ghost")))
	}
	// The dead one was only away: it comes back as a new session.
	require.True(t, first.beat())
	require.Len(t, first.has, 2)
}

func TestAClosedSessionHandsOverAtOnce(t *testing.T) {
	b := newBox(t, testCaps)
	first, second := b.pod("pod-0"), b.pod("pod-1")
	first.beat()
	second.beat()
	require.Len(t, second.has, 1)
	first.close()
	b.clock.advance(renewNotBefore)
	require.True(t, second.beat())
	require.Len(t, second.has, 2)
	require.Zero(t, count(t, b.Store, "sessions WHERE instance = 'pod-0'"))
}

func TestTheLastSessionIsEndedByTime(t *testing.T) {
	b := newBox(t, testCaps)
	p := b.pod("pod-0")
	p.beat()
	b.clock.advance(sessionTTL)
	require.NoError(t, b.endDeadSessions(t.Context()))
	require.Equal(t, 1, count(t, b.Store, "sessions"), "not before its time is over")
	b.clock.advance(time.Millisecond)
	require.NoError(t, b.endDeadSessions(t.Context()))
	require.Zero(t, count(t, b.Store, "sessions"))
	require.Equal(t, wire.ResultStale, p.poll(telegram, "x", text("m1", "ghost")))
	require.True(t, p.beat())
}

func TestADocumentMovesChannels(t *testing.T) {
	b := newBox(t, testCaps)
	p := b.pod("pod-0")
	p.beat()
	require.Equal(t, wire.ResultStored, p.poll(telegram, "77", text("m1", "hello")))
	token := p.has[telegram].Token

	tg := func(spec document.StoreChannel) []document.Entry {
		spec.Platform = "telegram"
		return append(testEntries(t)[:2], entry(t, document.EntryChannel, telegram, spec))
	}
	b.load(tg(document.StoreChannel{Account: "100", Bridge: shopBridge, Deleting: true})...)
	require.True(t, p.beat())
	require.Len(t, p.has, 1, "the last duties of a channel that is being deleted are somebody's")
	require.Equal(t, token, p.has[telegram].Token, "whose holder stays")

	b.load(testEntries(t)[:2]...)
	require.True(t, p.beat())
	require.Empty(t, p.has)

	b.load(tg(document.StoreChannel{Account: "100", Bridge: shopBridge})...)
	require.True(t, p.beat())
	require.Equal(t, "77", p.has[telegram].Cursor, "the same account, made again")
	require.Greater(t, p.has[telegram].Token, token)

	b.load(testEntries(t)[:2]...)
	b.load(tg(document.StoreChannel{Account: "999", Bridge: shopBridge})...)
	require.True(t, p.beat())
	require.Empty(t, p.has[telegram].Cursor, "another account has offsets of its own")

	b.load(tg(document.StoreChannel{Account: "999", Bridge: otherBridge})...)
	require.True(t, p.beat())
	require.Empty(t, p.has, "the channel is another Bridge's now")
	resp, err := b.Session(t.Context(), otherBridge, wire.SessionRequest{Instance: "other-pod"})
	require.NoError(t, err)
	require.Len(t, resp.Assignments, 1)
}

func TestAHeartbeatAtRestWritesNothingButItsOwnExpiry(t *testing.T) {
	b := newBox(t, testCaps)
	b.manyChannels(300)
	pods := []*pod{b.pod("pod-0"), b.pod("pod-1")}
	for range 2 {
		for _, p := range pods {
			p.beat()
		}
	}
	tokens := sumTokens(t, b)
	for range 20 {
		b.clock.advance(sessionTTL / 3)
		for _, p := range pods {
			require.False(t, p.beat())
		}
	}
	require.Equal(t, tokens, sumTokens(t, b))
	b.load() // the same again
}

func sumTokens(t testing.TB, b *box) (n int64) {
	t.Helper()
	_, err := one(t.Context(), b.read, []any{&n}, `SELECT SUM(token) FROM assignments`)
	require.NoError(t, err)
	return n
}

// After the store was away, processes that could not renew keep their channels.
func TestARestartOfTheStoreMovesNothing(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: testTime}
	open := func() *box {
		s, err := open(t, Options{Dir: dir, Now: c.Now})
		require.NoError(t, err)
		b := &box{Store: s, t: t, clock: c}
		b.load()
		return b
	}
	b := open()
	first, second := b.pod("pod-0"), b.pod("pod-1")
	first.beat()
	second.beat()
	first.beat()
	require.NoError(t, b.Close())
	c.advance(time.Hour)
	b = open()
	defer b.Close()
	first.b, second.b = b, b
	require.False(t, first.beat())
	c.advance(time.Second)
	require.False(t, second.beat())
	require.False(t, first.beat())
}

// Whatever happens, at most one session has a channel by the store's own word,
// tokens grow with every new holder, and once things are quiet everything has a
// holder and the shares are equal.
func TestSessionsProperty(t *testing.T) {
	b := newBox(t, testCaps)
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c"}
		pods := map[string]*pod{}
		channels := rapid.IntRange(1, 9).Draw(rt, "channels")
		b.manyChannels(channels)
		holder, token := map[string]string{}, map[string]int64{}
		look := func() {
			rows, err := b.read.rows(t.Context(), `SELECT channel, session, token FROM assignments`)
			require.NoError(rt, err)
			defer rows.Close()
			for rows.Next() {
				var channel, session string
				var tok int64
				require.NoError(rt, rows.Scan(&channel, &session, &tok))
				if session != holder[channel] && session != "" {
					require.Greater(rt, tok, token[channel], "a new holder has a new token")
				}
				holder[channel], token[channel] = session, tok
			}
			require.NoError(rt, rows.Err())
		}
		look()
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "pod")
			switch rapid.IntRange(0, 5).Draw(rt, "do") {
			case 0:
				if p := pods[name]; p != nil {
					p.close()
					delete(pods, name)
				}
			case 1:
				delete(pods, name) // killed
			case 2:
				b.clock.advance(time.Duration(rapid.IntRange(0, 8000).Draw(rt, "ms")) * time.Millisecond)
			case 3:
				b.manyChannels(rapid.IntRange(1, 9).Draw(rt, "channels"))
			default:
				if pods[name] == nil {
					pods[name] = b.pod(name)
				}
				pods[name].beat()
			}
			look()
		}
		for range 8 { // quiet: everybody renews in time
			b.clock.advance(sessionTTL / 3)
			for _, p := range pods {
				p.beat()
			}
		}
		require.NoError(rt, b.endDeadSessions(t.Context()))
		look()
		seen := map[string]string{}
		for name, p := range pods {
			for channel, a := range p.has {
				require.Empty(rt, seen[channel])
				seen[channel] = name
				require.Equal(rt, token[channel], a.Token)
			}
			require.GreaterOrEqual(rt, len(p.has), len(b.state.Load().channels)/len(pods))
		}
		if len(pods) > 0 {
			require.Len(rt, seen, len(b.state.Load().channels))
		}
	})
}

// What a dead process had leased and not begun is sent by another within
// seconds; what it had begun waits for the lease, as it may be on its way.
func TestTheLanesOfADeadSessionAreTakenBack(t *testing.T) {
	b := newBox(t, testCaps)
	b.clock.advance(sessionTTL)
	dead, alive := b.pod("pod-0"), b.pod("pod-1")
	dead.beat()
	alive.beat()
	begun, untouched := b.send(b.met(telegram, "c1"), "begun"), b.send(b.met(telegram, "c2"), "untouched")
	ds := b.lease(10)
	require.Len(t, ds, 2)
	b.report(of(ds[0], 0, wire.OutcomeSending))
	require.Equal(t, begun, ds[0].ID)
	for range 4 {
		b.clock.advance(sessionTTL / 3)
		alive.beat()
	}
	again := b.leaseOne()
	require.Equal(t, untouched, again.ID)
	require.Equal(t, []bool{false}, b.report(of(ds[1], 0, wire.OutcomeSending)), "should it live, it must not send")
	require.Equal(t, []bool{true}, b.report(of(ds[0], 0, wire.OutcomeSent)))
	require.Equal(t, message.StatusSent, b.status(begun))
}

// BenchmarkSessions is a second process that joins a Bridge of 10 000 channels,
// closes again, and the renewals of the first one in between.
func BenchmarkSessions(b *testing.B) {
	box := newBox(b, testCaps)
	box.manyChannels(10_000)
	first, second := box.pod("pod-0"), box.pod("pod-1")
	first.beat()
	var join, beat, leave time.Duration
	for b.Loop() {
		join += took(func() { second.beat() })
		first.beat()
		box.clock.advance(sessionTTL / 3)
		beat += took(func() { first.beat() })
		leave += took(second.close)
		box.clock.advance(sessionTTL / 3)
		first.beat()
		second.revision = 0
	}
	b.ReportMetric(float64(join.Milliseconds())/float64(b.N), "join-ms")
	b.ReportMetric(float64(beat.Microseconds())/float64(b.N), "beat-µs")
	b.ReportMetric(float64(leave.Milliseconds())/float64(b.N), "leave-ms")
}

func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

func TestInstancesOfTwoBridgesMayHaveOneName(t *testing.T) {
	b := newBox(t, testCaps)
	session := func(bridge string, req wire.SessionRequest) wire.SessionResponse {
		req.Instance = "pod-0"
		resp, err := b.Session(t.Context(), bridge, req)
		require.NoError(t, err)
		return resp
	}
	ours := session(shopBridge, wire.SessionRequest{})
	require.Len(t, ours.Assignments, 2)
	require.Len(t, session(otherBridge, wire.SessionRequest{}).Assignments, 1)
	session(otherBridge, wire.SessionRequest{Close: true})
	b.load()
	b.clock.advance(sessionTTL / 3)
	require.False(t, session(shopBridge, wire.SessionRequest{Revision: ours.Revision}).Changed)
	p := b.pod("pod-0")
	require.True(t, p.beat())
	require.Equal(t, ours.Assignments[0].Token, p.has[ours.Assignments[0].Channel].Token, "nobody has freed it")
	require.Equal(t, 2, count(t, b.Store, "assignments WHERE session <> ''"))
}
