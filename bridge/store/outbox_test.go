package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// testCaps are of a platform without limits that could get into the way.
var testCaps = platform.Capabilities{
	Text: platform.TextLimit{Max: 10, Unit: platform.UnitRunes}, Caption: platform.TextLimit{Max: 10, Unit: platform.UnitRunes},
	Attachments: []message.Type{message.TypeImage}, Location: true, Buttons: 3, Edit: true, Delete: true, React: true, ReplyTo: true,
}

// box is an outbox under test: a store, its clock, and a bridge.
type box struct {
	*Store
	t     testing.TB
	clock *clock
}

// newBox opens a store whose telegram channels can do what caps say, and whose
// jitter always draws a half.
func newBox(t testing.TB, caps platform.Capabilities, entries ...document.Entry) *box {
	t.Helper()
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now, Capabilities: map[string]platform.Capabilities{"telegram": caps}})
	s.outbox.draw = func() float64 { return 0.5 }
	b := &box{Store: s, t: t, clock: c}
	b.load(entries...)
	return b
}

// load puts a document into force: the usual one when there are no entries.
func (b *box) load(entries ...document.Entry) {
	b.t.Helper()
	if len(entries) == 0 {
		entries = testEntries(b.t)
	}
	require.Empty(b.t, b.Load(b.t.Context(), testDocument(b.t, entries...)))
}

// channel is an entry of a telegram channel of the shop's Bridge.
func (b *box) channel(name string, change func(*document.StoreChannel)) document.Entry {
	spec := document.StoreChannel{Platform: "telegram", Account: "of " + name, Bridge: shopBridge}
	if change != nil {
		change(&spec)
	}
	return entry(b.t, document.EntryChannel, name, spec)
}

// met makes a contact write, and returns the conversation.
func (b *box) met(channel, contact string) string {
	b.t.Helper()
	id := stored(b.t, b.Store, channel, textFrom(contact, "hello of "+contact, "hello"))
	return getMessage(b.t, b.Store, id).Conversation
}

func (b *box) send(conversation, body string) string {
	b.t.Helper()
	return b.mustSend(conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: body})
}

func (b *box) mustSend(conversation string, req SendRequest) string {
	b.t.Helper()
	m, err := b.Send(context.Background(), everything, conversation, req)
	require.NoError(b.t, err)
	return m.ID
}

func (b *box) lease(limit int, paused ...string) []wire.Delivery {
	b.t.Helper()
	resp, err := b.Lease(context.Background(), shopBridge, wire.LeaseRequest{Instance: "pod-0", Max: limit, Paused: paused})
	require.NoError(b.t, err)
	return resp.Deliveries
}

// leaseOne leases what must be the only delivery that is due.
func (b *box) leaseOne() wire.Delivery {
	b.t.Helper()
	ds := b.lease(10)
	require.Len(b.t, ds, 1)
	return ds[0]
}

func (b *box) report(reports ...wire.PartReport) []bool {
	b.t.Helper()
	resp, err := b.Report(context.Background(), shopBridge, wire.ReportRequest{Instance: "pod-0", Reports: reports})
	require.NoError(b.t, err)
	return resp.Accepted
}

// of makes a report about a delivery's part.
func of(d wire.Delivery, part int, o wire.Outcome) wire.PartReport {
	r := wire.PartReport{Delivery: d.ID, Channel: d.Channel, Lease: d.Lease, Part: part, Outcome: o}
	if o == wire.OutcomeSent {
		r.ExternalIDs = []string{fmt.Sprintf("%s/%d", d.ID, part)}
	}
	return r
}

func (b *box) sent(d wire.Delivery) {
	b.t.Helper()
	for _, p := range d.Parts {
		require.Equal(b.t, []bool{true}, b.report(of(d, p.Index, wire.OutcomeSending)))
		require.Equal(b.t, []bool{true}, b.report(of(d, p.Index, wire.OutcomeSent)))
	}
}

func (b *box) status(id string) message.Status {
	b.t.Helper()
	return getMessage(b.t, b.Store, id).Status
}

func (b *box) wantStatus(id string, want message.Status, reason string) {
	b.t.Helper()
	m := getMessage(b.t, b.Store, id)
	require.Equal(b.t, want, m.Status, "reason: %s", m.Reason)
	if reason == "" {
		require.Empty(b.t, m.Reason)
	} else {
		require.Contains(b.t, m.Reason, reason)
	}
}

func indexes(d wire.Delivery) []int {
	var list []int
	for _, p := range d.Parts {
		list = append(list, p.Index)
	}
	return list
}

func TestAMessageGoesOutPartByPart(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	_, cursor := eventsAfter(t, b.Store, 0)
	id := b.mustSend(conv, SendRequest{Author: message.Author{Kind: message.AuthorAgent, Name: "ann"}, Type: message.TypeText, Text: "one two three four", ReplyTo: "hello of c1"})
	m := getMessage(t, b.Store, id)
	require.Equal(t, message.StatusQueued, m.Status)
	require.Equal(t, message.Outbound, m.Direction)
	require.Equal(t, &message.Author{Kind: message.AuthorAgent, Name: "ann"}, m.Author)

	d := b.leaseOne()
	require.Equal(t, id, d.ID)
	require.Equal(t, "c1", d.To)
	require.Equal(t, telegram, d.Channel)
	require.Equal(t, "hello of c1", d.ReplyTo)
	require.Equal(t, 1, d.Attempt)
	require.Equal(t, []int{0, 1}, indexes(d))
	require.Empty(t, b.lease(10), "a leased lane is not leased again")

	b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent))
	require.Equal(t, message.StatusQueued, b.status(id))
	b.report(of(d, 1, wire.OutcomeSending), of(d, 1, wire.OutcomeSent))
	m = getMessage(t, b.Store, id)
	require.Equal(t, message.StatusSent, m.Status)
	require.Equal(t, id+"/0", m.ExternalID)
	require.Empty(t, b.lease(10))

	list, _ := eventsAfter(t, b.Store, cursor)
	require.Equal(t, []EventType{EventMessageCreated, EventMessageUpdated}, eventTypes(list))
	require.Equal(t, id, list[1].MessageID)
	require.Equal(t, conv, list[1].Conversation)
}

func TestARetrySendsOnlyWhatIsMissing(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.mustSend(b.met(telegram, "c1"), SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "one two three four", ReplyTo: "x"})
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeSent), of(d, 1, wire.OutcomeSending))
	retry := of(d, 1, wire.OutcomeRetry)
	retry.Class, retry.Reason, retry.RetryAfter = wire.ErrRetryable, "503", 7*time.Second
	require.Equal(t, []bool{true}, b.report(retry))

	b.clock.advance(6999 * time.Millisecond)
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Millisecond)
	d = b.leaseOne()
	require.Equal(t, []int{1}, indexes(d))
	require.Equal(t, 2, d.Attempt)
	require.Empty(t, d.ReplyTo, "belongs to the first part")
	b.sent(d)
	b.wantStatus(id, message.StatusSent, "")
}

func TestOrderInALaneIsByCompletion(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	first, second := b.send(conv, "first"), b.send(conv, "second")
	d := b.leaseOne()
	require.Equal(t, first, d.ID)
	retry := of(d, 0, wire.OutcomeRetry)
	b.report(retry)
	require.Empty(t, b.lease(10), "the second does not overtake")
	b.clock.advance(time.Second)
	d = b.leaseOne()
	require.Equal(t, first, d.ID)
	b.sent(d)
	require.Equal(t, second, b.leaseOne().ID)
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name        string
		report      wire.PartReport
		want        message.Status
		reason      string
		retryAt     time.Duration // 0: never
		others      time.Duration // when another contact of the channel is served
		unreachable bool
	}{
		{"content", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrContentRejected, Reason: "too blue"}, message.StatusFailed, "ContentRejected: too blue", 0, 0, false},
		{"window", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrOutsideWindow, Reason: "24 h"}, message.StatusFailed, "OutsideWindow: 24 h", 0, 0, false},
		{"recipient", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrRecipientGone, Reason: "blocked"}, message.StatusFailed, "RecipientGone: blocked", 0, 0, true},
		{"retryable", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRetryable, Reason: "503"}, message.StatusQueued, "", 500 * time.Millisecond, 0, false},
		{"rate of the contact", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited, Scope: wire.ScopeContact, RetryAfter: 3 * time.Second}, message.StatusQueued, "", 3 * time.Second, 0, false},
		{"rate of the channel", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrRateLimited, Scope: wire.ScopeChannel, RetryAfter: 3 * time.Second}, message.StatusQueued, "", 3 * time.Second, 3 * time.Second, false},
		{"credentials", wire.PartReport{Outcome: wire.OutcomeFailed, Class: wire.ErrAuthInvalid, Reason: "401"}, message.StatusQueued, "", 500 * time.Millisecond, 500 * time.Millisecond, false},
		{"settings", wire.PartReport{Outcome: wire.OutcomeRetry, Class: wire.ErrMisconfigured, Reason: "404"}, message.StatusQueued, "", 500 * time.Millisecond, 500 * time.Millisecond, false},
		{"unknown", wire.PartReport{Outcome: wire.OutcomeUnknown, Class: wire.ErrRetryable, Reason: "timeout"}, message.StatusUnknown, "timeout", 0, 0, false},
		{"released", wire.PartReport{Outcome: wire.OutcomeReleased}, message.StatusQueued, "", 1, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, testCaps)
			conv, other := b.met(telegram, "c1"), b.met(telegram, "c2")
			id := b.send(conv, "hello")
			d := b.leaseOne()
			r := c.report
			r.Delivery, r.Channel, r.Lease = d.ID, d.Channel, d.Lease
			b.report(of(d, 0, wire.OutcomeSending))
			require.Equal(t, []bool{true}, b.report(r))
			b.wantStatus(id, c.want, c.reason)
			require.Equal(t, !c.unreachable, reachable(t, b.Store, conv))

			probe := b.send(other, "probe")
			var tried, served time.Duration
			for at := time.Duration(0); at <= time.Minute && served == 0; at += 100 * time.Millisecond {
				for _, d := range b.lease(10) {
					if d.ID == probe {
						served = at + 1
						b.sent(d)
					} else {
						require.Equal(t, id, d.ID)
						tried = at + 1
						b.sent(d)
					}
				}
				b.clock.advance(100 * time.Millisecond)
			}
			if tried == 0 {
				for at := time.Duration(0); at < 5*time.Minute && tried == 0; at += 100 * time.Millisecond {
					if ds := b.lease(10); len(ds) > 0 {
						tried = b.clock.Now().Sub(testTime) + 1
					}
					b.clock.advance(100 * time.Millisecond)
				}
			}
			if c.retryAt == 0 {
				require.Zero(t, tried, "not tried again")
			} else {
				require.Equal(t, max(c.retryAt, 1), max(tried-1, 1), "tried again")
			}
			require.GreaterOrEqual(t, served-1, c.others)
			require.LessOrEqual(t, served-1, c.others+200*time.Millisecond, "one at a time until the channel is taken again")
		})
	}
}

func reachable(t testing.TB, s *Store, conv string) bool {
	t.Helper()
	v, err := s.conversation(t.Context(), s.read, everything, conv)
	require.NoError(t, err)
	return v.reachable
}

func TestAChannelThatIsRefusedWaitsForDaysAndFailsNothing(t *testing.T) {
	b := newBox(t, testCaps)
	conv := b.met(telegram, "c1")
	id := b.send(conv, "hello")
	attempts := 0
	for end := b.clock.Now().Add(72 * time.Hour); b.clock.Now().Before(end); b.clock.advance(time.Hour) {
		for _, d := range b.lease(10) {
			attempts++
			r := of(d, 0, wire.OutcomeFailed)
			r.Class = wire.ErrAuthInvalid
			b.report(of(d, 0, wire.OutcomeSending), r)
		}
	}
	require.Equal(t, 72, attempts)
	b.wantStatus(id, message.StatusQueued, "")
	b.sent(b.leaseOne())
	b.wantStatus(id, message.StatusSent, "")
}

// Many lanes in flight that meet the same refusal are one failure, or a single
// 401 would back a busy channel off to the limit.
func TestOneRefusalMetByManyLanesCountsOnce(t *testing.T) {
	b := newBox(t, testCaps)
	for i := range 5 {
		b.send(b.met(telegram, fmt.Sprint("c", i)), "hello")
	}
	for _, d := range b.lease(10) {
		r := of(d, 0, wire.OutcomeRetry)
		r.Class = wire.ErrAuthInvalid
		b.report(r)
	}
	b.clock.advance(500 * time.Millisecond)
	d := b.leaseOne() // one tries for all
	require.Empty(t, b.lease(10))
	b.sent(d)
	require.Len(t, b.lease(10), 4)
}

func TestASendThatWasOnItsWayDoesNotEndAPause(t *testing.T) {
	b := newBox(t, testCaps)
	for i := range 3 {
		b.send(b.met(telegram, fmt.Sprint("c", i)), "hello")
	}
	ds := b.lease(2)
	b.report(of(ds[1], 0, wire.OutcomeSending))
	r := of(ds[0], 0, wire.OutcomeRetry)
	r.Class, r.Scope, r.RetryAfter = wire.ErrRateLimited, wire.ScopeChannel, 30*time.Second
	b.report(r)
	require.Equal(t, []bool{true}, b.report(of(ds[1], 0, wire.OutcomeSent)))
	b.clock.advance(29 * time.Second)
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Second)
	b.sent(b.leaseOne())
	b.sent(b.leaseOne())
}

func TestALostTryOfARefusedChannelIsFollowedByAnother(t *testing.T) {
	b := newBox(t, testCaps)
	b.send(b.met(telegram, "c1"), "hello")
	b.send(b.met(telegram, "c2"), "hello")
	r := of(b.lease(1)[0], 0, wire.OutcomeRetry)
	r.Class = wire.ErrAuthInvalid
	b.report(r)
	b.clock.advance(time.Second)
	b.leaseOne() // and nothing is heard of it
	b.clock.advance(probeWait - time.Millisecond)
	require.Empty(t, b.lease(10))
	b.clock.advance(time.Millisecond)
	b.leaseOne()
}

func TestRetriesEndAfterADay(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	attempts := 0
	for b.status(id) == message.StatusQueued {
		for _, d := range b.lease(10) {
			attempts++
			r := of(d, 0, wire.OutcomeRetry)
			r.Class, r.Reason = wire.ErrRetryable, "503"
			b.report(r)
		}
		b.clock.advance(time.Minute)
		require.Less(t, attempts, giveUpAttempts)
	}
	b.wantStatus(id, message.StatusFailed, "given up after 24h0m0s")
	require.InDelta(t, 24, b.clock.Now().Sub(testTime).Hours(), 0.1)
}

func TestALeaseThatEndsWithoutAReport(t *testing.T) {
	for _, c := range []struct {
		name    string
		begun   bool
		caps    func(*platform.Capabilities)
		channel func(*document.StoreChannel)
		want    message.Status
		again   []int // parts leased again
	}{
		{"before sending: waits again, untouched", false, nil, nil, message.StatusQueued, []int{0, 1}},
		{"while sending: unknown", true, nil, nil, message.StatusUnknown, nil},
		{"while sending, the platform is idempotent", true, func(c *platform.Capabilities) { c.Idempotent = true }, nil, message.StatusQueued, []int{0, 1}},
		{"while sending, the channel says so", true, nil, func(c *document.StoreChannel) { c.ResendUnknown = true }, message.StatusQueued, []int{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			caps := testCaps
			if c.caps != nil {
				c.caps(&caps)
			}
			b := newBox(t, caps)
			b.load(append(testEntries(t)[:2], b.channel("shop/a", c.channel))...)
			id := b.send(b.met("shop/a", "c1"), "one two three four")
			d := b.leaseOne()
			if c.begun {
				b.report(of(d, 0, wire.OutcomeSending))
			}
			b.clock.advance(leaseFor - time.Millisecond)
			require.Empty(t, b.lease(10))
			require.Equal(t, message.StatusQueued, b.status(id))
			b.clock.advance(time.Millisecond)
			require.NoError(t, b.expireLeases(t.Context()))
			reason := ""
			if c.want == message.StatusUnknown {
				reason = "did not report before its lease was over"
			}
			b.wantStatus(id, c.want, reason)
			b.clock.advance(time.Second)
			ds := b.lease(10)
			if c.again == nil {
				require.Empty(t, ds)
				return
			}
			require.Len(t, ds, 1)
			require.Equal(t, c.again, indexes(ds[0]))
			require.Equal(t, 2, ds[0].Attempt)
		})
	}
}

func TestUnknownIsSentAgainTwiceAtMost(t *testing.T) {
	b := newBox(t, testCaps)
	b.load(append(testEntries(t)[:2], b.channel("shop/a", func(c *document.StoreChannel) { c.ResendUnknown = true }))...)
	id := b.send(b.met("shop/a", "c1"), "hello")
	sends := 0
	for range 10 {
		for _, d := range b.lease(10) {
			sends++
			b.report(of(d, 0, wire.OutcomeSending), of(d, 0, wire.OutcomeUnknown))
		}
		b.clock.advance(time.Hour)
	}
	require.Equal(t, 1+resendUnknownMax, sends)
	require.Equal(t, message.StatusUnknown, b.status(id))
}

func TestLateReports(t *testing.T) {
	setup := func(t *testing.T) (*box, string, wire.Delivery) {
		b := newBox(t, testCaps)
		id := b.send(b.met(telegram, "c1"), "one two three four")
		d := b.leaseOne()
		b.report(of(d, 0, wire.OutcomeSending))
		b.clock.advance(leaseFor)
		require.NoError(t, b.expireLeases(t.Context()))
		require.Equal(t, message.StatusUnknown, b.status(id))
		return b, id, d
	}
	t.Run("it was sent: the rest goes out, too", func(t *testing.T) {
		b, id, d := setup(t)
		require.Equal(t, []bool{false}, b.report(of(d, 0, wire.OutcomeSent)))
		require.Equal(t, message.StatusQueued, b.status(id))
		require.Equal(t, id+"/0", getMessage(t, b.Store, id).ExternalID)
		d = b.leaseOne()
		require.Equal(t, []int{1}, indexes(d))
		b.sent(d)
		b.wantStatus(id, message.StatusSent, "")
	})
	t.Run("it was not sent: all of it goes out", func(t *testing.T) {
		b, id, d := setup(t)
		require.Equal(t, []bool{false}, b.report(of(d, 0, wire.OutcomeRetry)))
		require.Equal(t, message.StatusQueued, b.status(id))
		require.Equal(t, []int{0, 1}, indexes(b.leaseOne()))
	})
	t.Run("it was refused", func(t *testing.T) {
		b, id, d := setup(t)
		r := of(d, 0, wire.OutcomeFailed)
		r.Class, r.Reason = wire.ErrRecipientGone, "blocked"
		require.Equal(t, []bool{false}, b.report(r))
		b.wantStatus(id, message.StatusFailed, "RecipientGone: blocked")
	})
	t.Run("nobody knows", func(t *testing.T) {
		b, id, d := setup(t)
		require.Equal(t, []bool{false}, b.report(of(d, 0, wire.OutcomeUnknown)))
		require.Equal(t, message.StatusUnknown, b.status(id))
	})
	t.Run("a word of another lease changes nothing but a send", func(t *testing.T) {
		b, id, d := setup(t)
		d.Lease--
		require.Equal(t, []bool{false}, b.report(of(d, 0, wire.OutcomeRetry)))
		require.Equal(t, message.StatusUnknown, b.status(id))
	})
	t.Run("the later message keeps its turn", func(t *testing.T) {
		b, id, d := setup(t)
		next := b.send(getMessage(t, b.Store, id).Conversation, "next")
		held := b.leaseOne()
		require.Equal(t, next, held.ID)
		b.report(of(d, 0, wire.OutcomeSent))
		require.Empty(t, b.lease(10))
		b.sent(held)
		require.Equal(t, id, b.leaseOne().ID)
	})
}

// The lease ends before anything was sent, another bridge gets the message, and
// then the first one tells that it was sent after all: the second must not.
func TestALateSendStopsTheNextHolder(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	first := b.leaseOne()
	b.clock.advance(leaseFor)
	second := b.leaseOne()
	require.Equal(t, id, second.ID)
	require.Equal(t, []bool{false}, b.report(of(first, 0, wire.OutcomeSending)), "the first must not send any more")
	require.Equal(t, []bool{false}, b.report(of(first, 0, wire.OutcomeSent)))
	require.Equal(t, message.StatusSent, b.status(id))
	require.Equal(t, []bool{false}, b.report(of(second, 0, wire.OutcomeSending)))
	require.Empty(t, b.lease(10))
	next := b.send(getMessage(t, b.Store, id).Conversation, "next")
	require.Equal(t, next, b.leaseOne().ID, "the lane was given back")
}

func TestAcceptedReportsKeepTheLease(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "one two three four five six seven eight nine")
	d := b.leaseOne()
	for _, p := range d.Parts { // each as slow as the bridge's own timeout allows
		require.Equal(t, []bool{true}, b.report(of(d, p.Index, wire.OutcomeSending)))
		b.clock.advance(30 * time.Second)
		require.Empty(t, b.lease(1))
		require.Equal(t, []bool{true}, b.report(of(d, p.Index, wire.OutcomeSent)))
	}
	require.Greater(t, len(d.Parts), 4)
	require.Equal(t, message.StatusSent, b.status(id))
}

func TestATurnThatEndsWithoutAWordAboutABegunPart(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "one two three four")
	d := b.leaseOne()
	b.report(of(d, 0, wire.OutcomeSending), of(d, 1, wire.OutcomeReleased))
	b.wantStatus(id, message.StatusUnknown, "did not say what became of it")
}

func TestGivenBackIsNotAnAttempt(t *testing.T) {
	b := newBox(t, testCaps)
	b.send(b.met(telegram, "c1"), "hello")
	for range 5 {
		d := b.leaseOne()
		require.Equal(t, 1, d.Attempt)
		b.report(of(d, 0, wire.OutcomeReleased))
		b.clock.advance(time.Minute)
	}
}

func TestAMoveOfTheContactIsFollowed(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	d := b.leaseOne()
	r := of(d, 0, wire.OutcomeMigrated)
	r.NewAddress = "c1-moved"
	require.Equal(t, []bool{true}, b.report(of(d, 0, wire.OutcomeSending), r)[1:])
	d = b.leaseOne()
	require.Equal(t, "c1-moved", d.To)
	b.sent(d)
	require.Equal(t, "c1-moved", getMessage(t, b.Store, id).Contact.ExternalID)

	b.send(getMessage(t, b.Store, id).Conversation, "again")
	d = b.leaseOne()
	r = of(d, 0, wire.OutcomeSent)
	r.NewAddress = "c1-moved-again"
	b.report(of(d, 0, wire.OutcomeSending), r)
	require.Equal(t, "c1-moved-again", getMessage(t, b.Store, id).Contact.ExternalID)
}

func TestReportsOfOthersAreRefused(t *testing.T) {
	b := newBox(t, testCaps)
	id := b.send(b.met(telegram, "c1"), "hello")
	d := b.leaseOne()
	resp, err := b.Report(t.Context(), otherBridge, wire.ReportRequest{Reports: []wire.PartReport{of(d, 0, wire.OutcomeSent)}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, resp.Accepted)
	require.Equal(t, message.StatusQueued, b.status(id))
	require.Equal(t, []bool{false, false, false}, b.report(
		wire.PartReport{Delivery: "no such", Outcome: wire.OutcomeSent},
		of(d, 9, wire.OutcomeSent), of(d, -1, wire.OutcomeSent)))

	resp2, err := b.Lease(t.Context(), otherBridge, wire.LeaseRequest{Instance: "x", Max: 10})
	require.NoError(t, err)
	require.Empty(t, resp2.Deliveries)
}
