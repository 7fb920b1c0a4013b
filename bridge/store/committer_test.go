package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

func TestFiftyCallersOfOneMessageStoreItOnce(t *testing.T) {
	s, _ := testStore(t)
	results := make([]wire.ElementResult, 50)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			resp, err := s.Ingest(context.Background(), shopBridge, wire.IngestRequest{Envelopes: []wire.Envelope{envelope(telegram, text("m1", "x"))}})
			if err == nil {
				results[i] = resp.Envelopes[0].Elements[0]
			}
		})
	}
	wg.Wait()
	stored := 0
	for _, r := range results {
		require.Equal(t, results[0].ID, r.ID, "everybody learns the id of the one message")
		if r.Result == wire.ResultStored {
			stored++
		} else {
			require.Equal(t, wire.ResultDuplicate, r.Result)
		}
	}
	require.Equal(t, 1, stored)
	require.Equal(t, 1, count(t, s, "messages"))
	events, _ := eventsAfter(t, s, 0)
	require.Len(t, events, 3)
}

// Concurrent writers, some of which fail before or after writing: cursors have
// no gap, a reader that follows the log sees every event once and in order,
// and what failed has left nothing.
func TestCursorOrderIsCommitOrder(t *testing.T) {
	s, _ := testStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan []Event)
	go func() { seen <- follow(ctx, s) }()

	const writers, each = 8, 40
	var acknowledged sync.Map // note → order of acknowledgement is per writer
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				note := fmt.Sprintf("%d/%d", w, i)
				err := s.write(context.Background(), 1, func(tx *txn) error { return writeNote(tx, note, i) })
				if (err == nil) != (i%5 != 3) {
					t.Errorf("%s: %v", note, err)
				}
				if err == nil {
					acknowledged.Store(note, true)
				}
			}
		})
	}
	wg.Wait()
	head, _, err := s.eventHead(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.WaitEvents(ctx, head-1) == nil }, time.Minute, time.Millisecond)
	list, next := eventsAfter(t, s, 0)
	require.Equal(t, head, next)
	cancel()
	followed := <-seen

	last := map[string]int{}
	for i, e := range list {
		require.EqualValues(t, i+1, e.Cursor, "no gap")
		_, ok := acknowledged.Load(e.Conversation)
		require.True(t, ok, "%s failed and is in the log", e.Conversation)
		var w string
		var n int
		_, err := fmt.Sscanf(e.Conversation, "%1s/%d", &w, &n)
		require.NoError(t, err)
		require.Greater(t, n+1, last[w], "a writer's events are in the order of its commits")
		last[w] = n + 1
	}
	require.Len(t, list, writers*each*4/5)
	require.True(t, slices.EqualFunc(list[:len(followed)], followed, func(a, b Event) bool { return a.Cursor == b.Cursor && a.Conversation == b.Conversation }),
		"who followed the log saw the same")
}

// writeNote writes an event; every fifth one fails, half of them after writing.
func writeNote(tx *txn, note string, i int) error {
	if i%10 == 3 {
		return errors.New("failed at once")
	}
	if _, err := tx.exec(`INSERT INTO raw_entries (id, platform, transport, received_at, payload) VALUES (?, '', '', 0, '')`, tx.newID()); err != nil {
		return err
	}
	tx.event(Event{Type: EventConversationUpdated, Channel: telegram, Conversation: note})
	if i%10 == 8 {
		return errors.New("failed after it wrote")
	}
	return nil
}

// follow reads the log as it grows, until ctx is done.
func follow(ctx context.Context, s *Store) (list []Event) {
	var cursor int64
	for s.WaitEvents(ctx, cursor) == nil {
		page, next, err := s.Events(ctx, everything, cursor, 7)
		if err != nil {
			return list
		}
		list, cursor = append(list, page...), next
	}
	return list
}

// Whatever mixture of functions shares a transaction, each has its effect or none.
func TestBatchIsolation(t *testing.T) {
	s := oneWriter(t)
	rapid.Check(t, func(t *rapid.T) {
		fates := rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "refuse", "undo", "panic", "constraint"}), 1, 8).Draw(t, "fates")
		var ids = make([]string, len(fates))
		jobs := make([]*job, len(fates))
		for i, fate := range fates {
			jobs[i] = &job{weight: 1, done: make(chan error, 1), fn: func(tx *txn) error { return fated(tx, fate, &ids[i]) }}
		}
		before, _, err := s.eventHead(context.Background())
		require.NoError(t, err)
		runBatch(s, jobs)
		good := 0
		for i, fate := range fates {
			err := <-jobs[i].done
			require.Equal(t, fate == "ok", err == nil, "%s: %v", fate, err)
			var n int
			_, err = one(context.Background(), s.read, []any{&n}, `SELECT COUNT(*) FROM raw_entries WHERE id = ?`, ids[i])
			require.NoError(t, err)
			require.Equal(t, fate == "ok", n == 1, fate)
			if fate == "ok" {
				good++
			}
		}
		after, _, err := s.eventHead(context.Background())
		require.NoError(t, err)
		require.EqualValues(t, good, after-before)
	})
}

func fated(tx *txn, fate string, id *string) error {
	*id = tx.newID()
	if fate == "refuse" {
		return ErrConflict
	}
	if _, err := tx.exec(`INSERT INTO raw_entries (id, platform, transport, received_at, payload) VALUES (?, '', '', 0, '')`, *id); err != nil {
		return err
	}
	tx.event(Event{Type: EventConversationUpdated, Channel: telegram, Conversation: *id})
	switch fate {
	case "undo":
		return ErrConflict
	case "panic":
		panic("a mistake")
	case "constraint":
		_, err := tx.exec(`INSERT INTO raw_entries (id, platform, transport, received_at, payload) VALUES (?, '', '', 0, '')`, *id)
		return err
	}
	return nil
}

// runBatch makes jobs share a transaction: they queue up while another one runs.
func runBatch(s *Store, jobs []*job) {
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.write(context.Background(), 1, func(*txn) error { close(held); <-release; return nil })
	}()
	<-held
	for _, j := range jobs {
		s.commit.queue <- j
	}
	close(release)
	<-done
}

func TestCallerThatGivesUpWhileWaitingHasDoneNothing(t *testing.T) {
	s := oneWriter(t)
	held, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.write(context.Background(), 1, func(*txn) error { close(held); <-release; return nil })
	}()
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	ran := false
	go func() { second <- s.write(ctx, 1, func(*txn) error { ran = true; return nil }) }()
	require.Eventually(t, func() bool { return len(s.commit.queue) == 1 }, time.Minute, time.Millisecond)
	cancel()
	err := <-second
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	require.NoError(t, <-first)
	require.NoError(t, s.write(t.Context(), 1, func(*txn) error { return nil }))
	require.False(t, ran)
}

func TestCallerWhoseFunctionRunsWaitsForTheEnd(t *testing.T) {
	s, _ := testStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, 1, func(tx *txn) error {
		cancel()
		tx.event(Event{Type: EventContactUpdated, Channel: telegram})
		return nil
	})
	require.NoError(t, err, "it is committed, and says so")
	events, _ := eventsAfter(t, s, 0)
	require.Len(t, events, 1)
}

func TestWriteAfterCloseIsUnavailable(t *testing.T) {
	s, err := open(t, Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.write(t.Context(), 1, func(*txn) error { return nil }), ErrUnavailable)
}

func TestFailedCommitIsToldToEverybodyAndToHealth(t *testing.T) {
	sqliteOnly(t)
	s := oneWriter(t)
	require.True(t, s.Health(t.Context()).OK)
	// A deferred foreign key is checked by COMMIT itself.
	broken := func(tx *txn) error {
		if err := tx.direct(`PRAGMA defer_foreign_keys = 1`); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO message_media (message, media) VALUES ('none', 'none')`)
		return err
	}
	errs := make(chan error, 2)
	jobs := []*job{
		{weight: 1, done: make(chan error, 1), fn: broken},
		{weight: 1, done: make(chan error, 1), fn: func(tx *txn) error {
			tx.event(Event{Type: EventContactUpdated, Channel: telegram})
			return nil
		}},
	}
	runBatch(s, jobs)
	for _, j := range jobs {
		errs <- <-j.done
	}
	for range jobs {
		require.ErrorIs(t, <-errs, ErrUnavailable)
	}
	h := s.Health(t.Context())
	require.False(t, h.OK)
	require.Contains(t, h.Message, "commit")
	events, _ := eventsAfter(t, s, 0)
	require.Empty(t, events)

	require.NoError(t, s.write(t.Context(), 1, func(*txn) error { return nil }), "the next batch has a transaction of its own")
	require.True(t, s.Health(t.Context()).OK)
}
