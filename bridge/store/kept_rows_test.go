package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

var testTexts = bulkInsert("policy_archive", "ON CONFLICT (hash) DO UPDATE SET policy = excluded.policy", "hash text", "policy text", "archive text", "decided_at bigint")

func keep(t *txn, hash, policy string) error {
	return t.row(testTexts, hash, hash, policy, "", int64(1))
}

func policyOf(t *txn, hash string) (policy string, err error) {
	_, err = one(t.ctx, t, []any{&policy}, `SELECT policy FROM policy_archive WHERE hash = ?`, hash)
	return policy, err
}

// Rows that are kept back cannot be told from rows that were written at once.
func TestRowsThatAreKeptBackAreSeenByTheNextStatement(t *testing.T) {
	s := openTestStore(t, Options{Dir: t.TempDir()})
	require.NoError(t, s.write(t.Context(), 1, func(t *txn) error {
		for i := range maxKept + 3 { // more than are kept back
			if err := keep(t, fmt.Sprint("h", i), "first"); err != nil {
				return err
			}
		}
		if err := keep(t, "h7", "second"); err != nil {
			return err
		}
		if got, err := policyOf(t, "h7"); err != nil || got != "second" {
			return fmt.Errorf("read %q, %w", got, err)
		}
		if err := keep(t, "h8", "third"); err != nil {
			return err
		}
		if n, err := t.exec(`DELETE FROM policy_archive WHERE hash = ? AND policy = 'third'`, "h8"); err != nil || n != 1 {
			return fmt.Errorf("removed %d, %w", n, err)
		}
		return errors.Join(keep(t, "h9", "one"), keep(t, "h9", "another"))
	}))
	require.Equal(t, maxKept+2, count(t, s, "policy_archive"))
	require.NoError(t, s.write(t.Context(), 1, func(t *txn) error {
		got, err := policyOf(t, "h9")
		if got != "another" {
			return fmt.Errorf("read %q, %w", got, err)
		}
		return err
	}))
}

// What a function kept back before it failed is not written with what others keep
// back in the same transaction.
func TestRowsOfAFunctionThatFailsAreDropped(t *testing.T) {
	for name, statement := range map[string]string{"nothing was written": "", "something was": `UPDATE event_head SET horizon = horizon WHERE id = 1`} {
		t.Run(name, func(t *testing.T) {
			s := oneWriter(t)
			keeps := func(hash string, then error) *job {
				return jobOf(func(t *txn) (err error) {
					if statement != "" {
						_, err = t.exec(statement)
					}
					return errors.Join(err, keep(t, hash, "x"), then)
				})
			}
			jobs := []*job{keeps("good", nil), keeps("bad", errAfterwards), keeps("better", nil), keeps("worse", errAfterwards)}
			runBatch(s, jobs)
			for i, j := range jobs {
				require.Equal(t, i%2 == 1, errors.Is(<-j.done, errAfterwards), i)
			}
			require.Equal(t, 2, count(t, s, "policy_archive"))
			require.Equal(t, 2, count(t, s, "policy_archive WHERE hash IN ('good', 'better')"))
		})
	}
}

// A drain step goes to PostgreSQL and back a few times, however much it gives away:
// to begin, for the front of the queue and who is there, for the lock of what was
// chosen, for the counters, and with all that it writes and the COMMIT.
func TestADrainStepIsAFewWays(t *testing.T) {
	postgresOnly(t)
	for mode, offer := range map[string]routing.Offer{"offer": {}, "assign": {Mode: routing.OfferAssign}} {
		d := testDesk(t, routing.QueueSpec{Name: support, Offer: offer})
		for i := range 2 * drainBatch {
			d.arrives(fmt.Sprint("c", i), support)
		}
		for i := range drainBatch / 2 {
			d.agent(fmt.Sprint("agent", i))
		}
		d.queues.take()
		for range 2 { // the first prepares statements, which are ways, too
			var w *scribe
			var step drainStep
			before := 0
			require.NoError(t, d.writeLocked(t.Context(), drainBatch, newLocks().agents("shop"), func(t *txn) (err error) {
				w, before = t.w, t.w.ways
				step, err = d.drainStep(t, support)
				return err
			}))
			require.Equal(t, drainBatch, step.given, mode)
			require.LessOrEqual(t, w.ways-before, 4, "%s: and one to begin", mode)
		}
		require.Zero(t, d.queue(support).Depth-d.queue(support).Offered)
		d.checkCounters()
	}
}
