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
