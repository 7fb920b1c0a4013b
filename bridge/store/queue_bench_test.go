package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	benchWaiting = 100_000
	benchAgents  = 1_000
)

// crowd fills a queue: benchWaiting conversations of all priorities wait, and
// benchAgents agents are online.
func crowd(tb testing.TB, d *desk) {
	tb.Helper()
	ctx := context.Background()
	now := ms(d.clock.Now())
	const chunk = 10_000
	for from := 0; from < benchWaiting; from += chunk {
		series := `WITH RECURSIVE n(i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
		fill := func(query string, args ...any) {
			require.NoError(tb, d.write(ctx, 1, func(t *txn) error {
				_, err := t.exec(series+query, append([]any{from + 1, from + chunk}, args...)...)
				return err
			}))
		}
		fill(`INSERT INTO contacts (id, namespace, created_at) SELECT 'c' || i, 'shop', 1 FROM n`)
		fill(`INSERT INTO identities (id, channel, external_id, contact, created_at) SELECT i, 'shop/telegram', 'x' || i, 'c' || i, 1 FROM n`)
		fill(`INSERT INTO conversations (id, channel, contact, identity, state, owner_kind, owner_name, epoch, created_at, updated_at)
			SELECT 'v' || i, 'shop/telegram', 'c' || i, i, 'open', 'queue', 'shop/support', 2, 1, 1 FROM n`)
		fill(`INSERT INTO queue_entries (conversation, queue, state, class, priority, need, waiting_since, entered_at, step_at)
			SELECT 'v' || i, 'shop/support', 'waiting', 'chat', i % 4, 'chat', i + CAST(? AS BIGINT), 1, 1 FROM n`, now-2*benchWaiting)
		if from == 0 {
			fill(`INSERT INTO agents (id, namespace, name, created_at, updated_at) SELECT 'a' || i, 'shop', 'a' || i, 1, 1 FROM n WHERE i <= ?`, benchAgents)
			fill(`INSERT INTO presence (agent, namespace, state, seen_at, units) SELECT 'a' || i, 'shop', 'online', CAST(? AS BIGINT), 100 FROM n WHERE i <= ?`, now, benchAgents)
			fill(`INSERT INTO queue_members (queue, agent) SELECT 'shop/support', 'a' || i FROM n WHERE i <= ?`, benchAgents)
		}
	}
	require.NoError(tb, d.write(ctx, 1, func(t *txn) error {
		_, err := t.exec(`UPDATE queues SET depth = ?, online = ?, available = ? WHERE queue = 'shop/support'`, benchWaiting, benchAgents, benchAgents)
		return err
	}))
	if d.db.postgres != nil {
		_, err := d.db.writer.ExecContext(ctx, `ANALYZE`)
		require.NoError(tb, err)
	}
}

// BenchmarkDrain is one transaction that gives something away. busy: one of a
// thousand agents has room for one conversation, as when somebody solved one;
// morning: nobody has anything yet, and a whole batch is given away.
func BenchmarkDrain(b *testing.B) {
	for name, busy := range map[string]bool{"busy": true, "morning": false} {
		for mode, offer := range map[string]routing.Offer{"offer": {}, "assign": {Mode: routing.OfferAssign}} {
			b.Run(name+"/"+mode, func(b *testing.B) {
				d := testDesk(b, routing.QueueSpec{Name: support, Offer: offer})
				crowd(b, d)
				load := func(units int) {
					require.NoError(b, d.write(context.Background(), 1, func(t *txn) error {
						_, err := t.exec(`UPDATE presence SET load_chat = ?`, units)
						return err
					}))
				}
				want := drainBatch
				if busy {
					load(100)
					want = 1
				}
				var given int
				var spent time.Duration
				for i := range b.N {
					if busy {
						require.NoError(b, d.write(context.Background(), 1, func(t *txn) error {
							_, err := t.exec(`UPDATE presence SET load_chat = 75 WHERE agent = ?`, fmt.Sprint("a", i%benchAgents+1))
							return err
						}))
					} else if i%100 == 99 {
						load(0)
					}
					var step drainStep
					began := time.Now()
					err := d.writeLocked(context.Background(), drainBatch, newLocks().agents("shop"), func(t *txn) (err error) {
						step, err = d.drainStep(t, support)
						return err
					})
					spent += time.Since(began)
					require.NoError(b, err)
					require.Equal(b, want, step.given)
					given += step.given
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "ms/step")
				b.ReportMetric(float64(given)/spent.Seconds(), "given/s")
			})
		}
	}
}
