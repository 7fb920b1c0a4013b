package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// replicas opens several stores on one database, by the real clock, with the
// usual document.
func replicas(t testing.TB, n int) []*Store {
	t.Helper()
	postgresOnly(t)
	opts := onBackend(t, Options{Dir: t.TempDir(), Capabilities: map[string]platform.Capabilities{"telegram": testCaps}})
	list := make([]*Store, n)
	for i := range list {
		list[i] = openTestStore(t, opts)
		require.Empty(t, list[i].Load(t.Context(), testDocument(t, testEntries(t)...)))
	}
	return list
}

// ingestOnce hands an event to a replica and returns its result.
func ingestOnce(s *Store, channel string, ev message.Event) (wire.ElementResult, error) {
	resp, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{envelope(channel, ev)}})
	if err != nil {
		return wire.ElementResult{}, err
	}
	return resp.Envelopes[0].Elements[0], nil
}

// Whoever follows the log sees every event once, in the order of commits,
// whichever replica wrote it and whichever one is asked.
func TestReplicasShareOneLog(t *testing.T) {
	list := replicas(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make([]chan []Event, len(list))
	for i, s := range list {
		seen[i] = make(chan []Event, 1)
		go func() { seen[i] <- followUntil(ctx, s, "the end") }()
	}
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for i, s := range list {
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					note := fmt.Sprintf("%d-%d/%d", i, w, n)
					err := s.write(context.Background(), 1, func(tx *txn) error { return writeNote(tx, note, n) })
					if (err == nil) != (n%5 != 3) {
						t.Errorf("%s: %v", note, err)
					}
				}
			})
		}
	}
	wg.Wait()
	all, head := eventsAfter(t, list[0], 0)
	require.Len(t, all, len(list)*writers*each*4/5)
	last := map[string]int{}
	for i, e := range all {
		require.EqualValues(t, i+1, e.Cursor, "no gap")
		var r, w, n int
		_, err := fmt.Sscanf(e.Conversation, "%d-%d/%d", &r, &w, &n)
		require.NoError(t, err)
		key := fmt.Sprint(r, "-", w)
		require.Greater(t, n+1, last[key], "a writer's events are in the order of its commits")
		last[key] = n + 1
	}
	// Everybody hears of the end without being asked again.
	for _, s := range list {
		waiting, stop := context.WithTimeout(ctx, time.Minute)
		require.NoError(t, s.WaitEvents(waiting, head-1))
		stop()
	}
	require.NoError(t, list[0].write(t.Context(), 1, func(tx *txn) error {
		tx.event(Event{Type: EventConversationUpdated, Channel: telegram, Conversation: "the end"})
		return nil
	}))
	all, _ = eventsAfter(t, list[0], 0)
	for i := range list {
		followed := <-seen[i]
		require.Len(t, followed, len(all), "replica %d", i)
		for j, e := range followed {
			require.Equal(t, all[j].Cursor, e.Cursor)
			require.Equal(t, all[j].Conversation, e.Conversation)
		}
	}
}

// followUntil reads the log as it grows, to an entry.
func followUntil(ctx context.Context, s *Store, last string) (list []Event) {
	var cursor int64
	for s.WaitEvents(ctx, cursor) == nil {
		page, next, err := s.Events(ctx, everything, cursor, 7)
		if err != nil {
			return list
		}
		list, cursor = append(list, page...), next
		if n := len(list); n > 0 && list[n-1].Conversation == last {
			return list
		}
	}
	return list
}

// waitFor waits for a condition, on the test's own goroutine.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// The same messages, handed to all replicas at once, in any order, batched any
// way: each is stored once, a contact is one contact with one conversation, and
// everybody learns the same ids.
func TestReplicasStoreWhatTheyAllGetOnce(t *testing.T) {
	list := replicas(t, 3)
	const contacts, each = 6, 8
	var ids sync.Map
	var wg sync.WaitGroup
	var stored atomic.Int64
	for i, s := range list {
		for range 4 {
			wg.Go(func() {
				var events []message.Event
				for c := range contacts {
					for m := range each {
						events = append(events, textFrom(numbered("c", c), fmt.Sprintf("m-%d-%d", c, m), "x"))
					}
				}
				rand.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
				for chunk := range slices.Chunk(events, 1+rand.IntN(9)) {
					resp, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{envelope(telegram, chunk...)}})
					if err != nil {
						t.Errorf("replica %d: %v", i, err)
						return
					}
					for n, r := range resp.Envelopes[0].Elements {
						if r.Result == wire.ResultStored {
							stored.Add(1)
						} else if r.Result != wire.ResultDuplicate {
							t.Errorf("%v", r)
						}
						key := chunk[n].Message.ExternalID
						if id, known := ids.LoadOrStore(key, r.ID); known && id != r.ID {
							t.Errorf("%s has two ids", key)
						}
					}
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, contacts*each, stored.Load())
	require.Equal(t, contacts*each, count(t, list[0], "messages"))
	for _, table := range []string{"contacts", "identities", "conversations"} {
		require.Equal(t, contacts, count(t, list[0], table), table)
	}
	require.Zero(t, count(t, list[0], "identities i WHERE NOT EXISTS (SELECT 1 FROM conversations v WHERE v.id = i.conversation AND v.identity = i.id)"))
}

// Who pages through a channel's messages while several replicas store some
// misses none and sees none twice.
func TestPagingMissesNothingThatIsCommittedMeanwhile(t *testing.T) {
	list := replicas(t, 2)
	const contacts, each = 8, 15
	seen := map[string]int{}
	var contact string
	var wg sync.WaitGroup
	for c := range contacts {
		wg.Go(func() {
			for m := range each {
				if _, err := ingestOnce(list[(c+m)%2], telegram, textFrom(numbered("c", c), fmt.Sprintf("m-%d-%d", c, m), "x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	q := MessageQuery{Channel: telegram, PageQuery: PageQuery{Limit: 3}}
	for done := false; ; {
		p, err := list[1].Messages(t.Context(), everything, q)
		require.NoError(t, err)
		if p.Next != "" { // a full page: it stays as it is
			for _, m := range p.Items {
				seen[m.ID]++
				contact = m.Contact.ID
			}
			q.After = p.Next
			continue
		}
		if done {
			for _, m := range p.Items {
				seen[m.ID]++
			}
			break
		}
		select {
		case <-finished:
			done = true
		default:
		}
	}
	require.Len(t, seen, contacts*each)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
	p, err := list[0].Messages(t.Context(), everything, MessageQuery{Contact: contact, PageQuery: PageQuery{Limit: 200}})
	require.NoError(t, err)
	require.Len(t, p.Items, each)
	for m, got := range p.Items {
		require.Regexp(t, fmt.Sprintf(`-%d$`, m), got.ExternalID, "one after another, whichever replica stored them")
	}
}

// A receipt and the report that its message was sent race for different
// replicas: the status is the same whoever comes first.
func TestReceiptAndReportRaceAcrossReplicas(t *testing.T) {
	list := replicas(t, 2)
	b := &box{Store: list[0], t: t}
	conv := b.met(telegram, "c1")
	for round := range 15 {
		id := b.send(conv, numbered("m", round))
		var d wire.Delivery
		waitFor(t, "the delivery", func() bool {
			if ds := b.lease(1); len(ds) > 0 {
				d = ds[0]
			}
			return d.ID != ""
		})
		require.Equal(t, []bool{true}, b.report(of(d, 0, wire.OutcomeSending)))
		external := of(d, 0, wire.OutcomeSent).ExternalIDs[0]
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := list[0].Report(context.Background(), shopBridge, wire.ReportRequest{Instance: "pod-0", Reports: []wire.PartReport{of(d, 0, wire.OutcomeSent)}})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			_, err := ingestOnce(list[1], telegram, message.Event{Receipt: &message.Receipt{ExternalID: external, Status: message.StatusRead, Timestamp: time.Now()}})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Equal(t, message.StatusRead, b.status(id), "round %d", round)
	}
	require.Zero(t, count(t, list[0], "parked_events"))
}

// An edit and the message that it is about race for different replicas.
func TestEditAndMessageRaceAcrossReplicas(t *testing.T) {
	list := replicas(t, 2)
	for round := range 20 {
		external := numbered("m", round)
		var wg sync.WaitGroup
		var r wire.ElementResult
		wg.Go(func() {
			var err error
			if r, err = ingestOnce(list[0], telegram, textFrom("c1", external, "before")); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := ingestOnce(list[1], telegram, editOf(external, "edit of "+external, "after", time.Now())); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Equal(t, "after", getMessage(t, list[0], r.ID).Text, "round %d", round)
	}
	require.Zero(t, count(t, list[0], "parked_events"))
}

// Many workers on several replicas: nothing is sent twice, nothing is left, and
// within a lane one message is over before the next one is handed out.
func TestWorkersOnReplicasKeepTheOrderOfLanes(t *testing.T) {
	list := replicas(t, 3)
	b := &box{Store: list[0], t: t}
	const contacts, each = 8, 6
	convs := make([]string, contacts)
	for i := range convs {
		convs[i] = b.met([]string{telegram, telegram}[i%2], numbered("c", i))
	}
	var mu sync.Mutex
	order := map[string][]string{} // by contact: texts as they were sent
	busy := map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var workers, desks sync.WaitGroup
	for w := range 6 {
		s := list[w%len(list)]
		workers.Go(func() {
			for ctx.Err() == nil {
				resp, err := s.Lease(ctx, shopBridge, wire.LeaseRequest{Instance: numbered("pod", w), Max: 3, Wait: 5 * time.Second})
				if err != nil {
					continue
				}
				for _, d := range resp.Deliveries {
					mu.Lock()
					if busy[d.To] {
						t.Errorf("lane of %s is held twice", d.To)
					}
					busy[d.To] = true
					mu.Unlock()
				}
				for _, d := range resp.Deliveries {
					sending := reportTo(t, s, of(d, 0, wire.OutcomeSending))
					mu.Lock()
					if !sending {
						t.Errorf("a lease that is held was refused")
					}
					order[d.To] = append(order[d.To], d.Parts[0].Text)
					busy[d.To] = false
					mu.Unlock()
					reportTo(t, s, of(d, 0, wire.OutcomeSent))
				}
			}
		})
	}
	for c, conv := range convs {
		desks.Go(func() {
			for m := range each {
				s := list[(c+m)%len(list)] // an agent's requests go to any replica
				if _, err := s.Send(context.Background(), everything, conv, SendRequest{
					Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: numbered("m", m)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	desks.Wait()
	waitFor(t, "everything to be sent", func() bool { return list[0].queuedDeliveries() == 0 })
	cancel()
	workers.Wait()
	var want []string
	for m := range each {
		want = append(want, numbered("m", m))
	}
	for c := range contacts {
		require.Equal(t, want, order[numbered("c", c)])
	}
}

func reportTo(t testing.TB, s *Store, r wire.PartReport) bool {
	resp, err := s.Report(context.Background(), shopBridge, wire.ReportRequest{Instance: "pod", Reports: []wire.PartReport{r}})
	if err != nil {
		t.Error(err)
		return false
	}
	return resp.Accepted[0]
}

// What one replica commits wakes who waits at another one, long before they
// would look for themselves.
func TestReplicasWakeEachOther(t *testing.T) {
	list := replicas(t, 2)
	b := &box{Store: list[0], t: t}
	conv := b.met(telegram, "c1")
	for _, s := range list {
		waitFor(t, "the listener", s.relay.listening.Load)
	}
	for name, wait := range map[string]func(ctx context.Context) error{
		"events": func(ctx context.Context) error {
			head, _, err := list[1].eventHead(ctx)
			if err != nil {
				return err
			}
			return list[1].WaitEvents(ctx, head)
		},
		"outbox": func(ctx context.Context) error {
			resp, err := list[1].Lease(ctx, shopBridge, wire.LeaseRequest{Instance: "pod-1", Max: 1, Wait: time.Minute})
			if err == nil && len(resp.Deliveries) == 0 {
				return fmt.Errorf("nothing was leased")
			}
			return err
		},
		"media": func(ctx context.Context) error {
			resp, err := list[1].LeaseMedia(ctx, shopBridge, wire.MediaLeaseRequest{Instance: "pod-1", Max: 1, Wait: time.Minute})
			if err == nil && len(resp.Jobs) == 0 {
				return fmt.Errorf("nothing was leased")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			woken := make(chan error, 1)
			go func() { woken <- wait(ctx) }()
			for i := 0; ; i++ { // again, should it have come before the other one waited
				b.send(conv, numbered(name, i))
				stored(t, list[0], telegram, picture(numbered(name, i), numbered(name, i)))
				select {
				case err := <-woken:
					require.NoError(t, err)
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
}

// Sessions of one Bridge at different replicas share its channels, each channel
// once, and a process that comes or goes moves them.
func TestSessionsAtDifferentReplicas(t *testing.T) {
	list := replicas(t, 3)
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() {
			if _, err := s.Session(context.Background(), shopBridge, wire.SessionRequest{Instance: numbered("pod", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	holders := func() map[string]string {
		held := map[string]string{}
		for i, s := range list {
			resp, err := s.Session(t.Context(), shopBridge, wire.SessionRequest{Instance: numbered("pod", i)})
			require.NoError(t, err)
			for _, a := range resp.Assignments {
				require.Empty(t, held[a.Channel], "%s is held twice", a.Channel)
				held[a.Channel] = numbered("pod", i)
			}
		}
		return held
	}
	held := holders()
	require.Len(t, held, 2, "telegram and whatsapp")
	require.NotEqual(t, held[telegram], held[whatsapp], "two channels, more than two processes")
	_, err := list[0].Session(t.Context(), shopBridge, wire.SessionRequest{Instance: held[telegram], Close: true})
	require.NoError(t, err)
	rows, err := all(t.Context(), list[1].read, scanText, `SELECT session FROM assignments WHERE channel = ?`, telegram)
	require.NoError(t, err)
	require.NotContains(t, rows[0], held[telegram])
	require.NotEmpty(t, rows[0])
}

// Replicas with different documents, for a moment, end with the rows of the one
// that all of them have in the end.
func TestReplicasEndWithTheSameDocument(t *testing.T) {
	list := replicas(t, 2)
	b := &box{Store: list[0], t: t}
	b.send(b.met(telegram, "c1"), "x")
	moved := testEntries(t)
	for i, e := range moved {
		if e.Name == telegram {
			moved[i] = b.channel(telegram, nil)
			moved[i].Spec = []byte(`{"platform":"telegram","account":"100","bridge":"` + otherBridge + `"}`)
		}
	}
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() {
			if i == 1 {
				s.Load(context.Background(), testDocument(t, testEntries(t)...))
			}
			s.Load(context.Background(), testDocument(t, moved...))
		})
	}
	wg.Wait()
	rows, err := all(t.Context(), list[0].read, scanText, `SELECT bridge FROM outbox_channels WHERE channel = ?`, telegram)
	require.NoError(t, err)
	require.Equal(t, []string{otherBridge}, rows)
}

// A watermark and the report that a message was sent race for different
// replicas: the watermark covers the message whoever comes first.
func TestWatermarkAndReportRaceAcrossReplicas(t *testing.T) {
	list := replicas(t, 2)
	b := &box{Store: list[0], t: t}
	for round := range 25 {
		contact := numbered("c", round) // of its own, as watermarks stay with the lane
		id := b.send(b.met(telegram, contact), "hi")
		var d wire.Delivery
		waitFor(t, "the delivery", func() bool {
			if ds := b.lease(1); len(ds) > 0 {
				d = ds[0]
			}
			return d.ID != ""
		})
		require.Equal(t, []bool{true}, b.report(of(d, 0, wire.OutcomeSending)))
		sent := of(d, 0, wire.OutcomeSent)
		sent.SentAt = time.Now()
		var race sync.WaitGroup
		race.Go(func() { reportTo(t, list[0], sent) })
		for i, status := range []message.Status{message.StatusDelivered, message.StatusRead} {
			race.Go(func() {
				r := message.Receipt{Contact: contact, Watermark: sent.SentAt.Add(time.Second), Status: status, Timestamp: sent.SentAt}
				if _, err := ingestOnce(list[(i+1)%2], telegram, message.Event{ExternalID: contact + string(status), Receipt: &r}); err != nil {
					t.Error(err)
				}
			})
		}
		race.Wait()
		b.wantStatus(id, message.StatusRead, "")
	}
	require.Zero(t, count(t, list[0], "parked_events"))
}

// What is told about a message that the shop wrote in the platform's own app, by
// id and by watermark, races for different replicas with the message itself,
// which may be the first thing that is ever told about its contact.
func TestReceiptsAndEchoRaceAcrossReplicas(t *testing.T) {
	list := replicas(t, 2)
	for round := range 25 {
		for name, receipt := range map[string]message.Receipt{
			"id":        {ExternalID: numbered("by id", round)},
			"watermark": {Watermark: testTime.Add(time.Minute)},
		} {
			external, contact := numbered("by "+name, round), numbered("of "+name, round)
			if receipt.ExternalID == "" {
				receipt.Contact = contact
			}
			echo := echoOf(external, "hi")
			echo.Message.Contact.ExternalID = contact
			var id string
			var race sync.WaitGroup
			race.Go(func() {
				r, err := ingestOnce(list[round%2], telegram, echo)
				if id = r.ID; err != nil || r.Result != wire.ResultStored {
					t.Errorf("%v: %v", r, err)
				}
			})
			for i, status := range []message.Status{message.StatusDelivered, message.StatusRead} {
				r := receipt
				r.Status, r.Timestamp = status, testTime
				race.Go(func() {
					ev := message.Event{ExternalID: external + string(status), Receipt: &r}
					if _, err := ingestOnce(list[(round+i+1)%2], telegram, ev); err != nil {
						t.Error(err)
					}
				})
			}
			race.Wait()
			require.Equal(t, message.StatusRead, getMessage(t, list[0], id).Status, "round %d, by %s", round, name)
		}
	}
	require.Zero(t, count(t, list[0], "parked_events"))
}

// A replica that has not loaded a document yet tells a session nothing of the
// channels in it, and everything once it has, although another one gave them out.
func TestAReplicaThatIsBehindHidesNoChannel(t *testing.T) {
	list := replicas(t, 2)
	ahead, behind := list[0], list[1]
	const late = "shop/late"
	entry, err := document.NewEntry(document.EntryChannel, late, 1, document.StoreChannel{UID: "9", Platform: "telegram", Account: "999", Bridge: shopBridge, Receive: document.ReceivePolling})
	require.NoError(t, err)
	var revision int64
	has := func() bool {
		resp, err := behind.Session(t.Context(), shopBridge, wire.SessionRequest{Instance: "pod", Revision: revision})
		require.NoError(t, err)
		revision = resp.Revision
		return slices.ContainsFunc(resp.Assignments, func(a wire.Assignment) bool { return a.Channel == late })
	}
	require.False(t, has())
	require.Empty(t, ahead.Load(t.Context(), testDocument(t, append(testEntries(t), entry)...)))
	require.False(t, has(), "it cannot vouch for a channel that it does not know")
	require.Empty(t, behind.Load(t.Context(), testDocument(t, append(testEntries(t), entry)...)))
	require.True(t, has())
}
