package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var errAfterwards = errors.New("it fails after it wrote")

func jobOf(fn func(*txn) error) *job {
	return &job{weight: 1, done: make(chan error, 1), fn: fn}
}

// A function that fails takes nothing of the one before along: neither its rows
// that were kept back, nor its message.
func TestRollbackOfOneCallerKeepsTheRawEntriesOfAnother(t *testing.T) {
	s := oneWriter(t)
	refused := envelope("", text("u1", "nobody"))
	refused.Raw = []byte(`{"unrouted":1}`)
	ingestEnvelope(t, s, refused) // the journal has it: once more, it is looked for
	env := envelope(telegram, text("a1", "x"))
	env.Raw = []byte(`{"a":1}`)
	takes := func(env *wire.Envelope, then error, result *wire.EnvelopeResult) *job {
		in := s.prepare(routeFor(s.state.Load(), shopBridge), env)
		return jobOf(func(t *txn) error {
			r, err := s.take(t, in)
			if result != nil {
				*result = r
			}
			return errors.Join(err, then)
		})
	}
	var first, last wire.EnvelopeResult
	again := envelope(telegram, text("a2", "y"))
	again.Raw = []byte(`{"a":2}`)
	jobs := []*job{takes(&env, nil, &first), takes(&refused, errAfterwards, nil), takes(&again, nil, &last), takes(&refused, errAfterwards, nil)}
	runBatch(s, jobs)
	for i, j := range jobs {
		require.Equal(t, i%2 == 1, errors.Is(<-j.done, errAfterwards), i)
	}
	for _, id := range []string{first.Elements[0].ID, last.Elements[0].ID} {
		var raw string
		found, err := one(t.Context(), s.read, []any{&raw}, `SELECT raw FROM messages WHERE id = ?`, id)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, 1, count(t, s, "raw_entries WHERE id = '"+raw+"'"))
	}
	require.Equal(t, 3, count(t, s, "raw_entries"))
}

// A lock that a function took is gone when the function is undone: the next one
// takes it again, and has it.
func TestLocksGoWithTheSavepoint(t *testing.T) {
	postgresOnly(t)
	s := oneWriter(t)
	key := keyOf(spaceOutbox, telegram)
	writes := func(tx *txn) error {
		_, err := tx.exec(`UPDATE event_head SET horizon = horizon WHERE id = 1`)
		return err
	}
	var ours, free bool
	jobs := []*job{
		jobOf(func(tx *txn) error {
			return errors.Join(tx.hold(spaceOutbox, telegram), writes(tx), errAfterwards)
		}),
		jobOf(func(tx *txn) (err error) {
			if ours, err = tx.try(spaceOutbox, telegram); err != nil {
				return err
			}
			if err := s.db.reader.QueryRowContext(context.Background(), fmt.Sprintf(`SELECT pg_try_advisory_lock(%d)`, key)).Scan(&free); err != nil {
				return err
			}
			return writes(tx)
		}),
	}
	runBatch(s, jobs)
	require.ErrorIs(t, <-jobs[0].done, errAfterwards)
	require.NoError(t, <-jobs[1].done)
	require.True(t, ours)
	require.False(t, free, "nobody else can take it")
}

// A mistake that is met by one message, when all of a transaction are taken in
// together, is one caller's.
func TestAMistakeInASetIsOneCallers(t *testing.T) {
	s := oneWriter(t)
	takes := func(id string, spoil func(*intake), result *wire.EnvelopeResult) *job {
		env := envelope(telegram, text(id, "x"))
		in := s.prepare(routeFor(s.state.Load(), shopBridge), &env)
		spoil(in)
		return jobOf(func(t *txn) (err error) {
			*result, err = s.take(t, in)
			return err
		})
	}
	sound := func(*intake) {}
	var results [3]wire.EnvelopeResult
	jobs := []*job{
		takes("m1", sound, &results[0]),
		takes("m2", func(in *intake) { in.elements[0].event.Message.Contact = nil }, &results[1]),
		takes("m3", sound, &results[2]),
	}
	runBatch(s, jobs)
	require.NoError(t, <-jobs[0].done)
	require.ErrorContains(t, <-jobs[1].done, "internal error")
	require.NoError(t, <-jobs[2].done)
	require.Equal(t, wire.ResultStored, results[0].Elements[0].Result)
	require.Equal(t, wire.ResultStored, results[2].Elements[0].Result)
	require.Equal(t, 2, count(t, s, "messages"))
	require.Equal(t, 2, count(t, s, "external_ids"))
}
