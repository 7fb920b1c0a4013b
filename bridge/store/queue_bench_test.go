package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

const (
	benchWaiting = 100_000
	benchAgents  = 1_000
)

// crowd fills a queue: benchWaiting conversations of all priorities wait, for so many
// different skills, and benchAgents agents are online, who have them all.
func crowd(tb testing.TB, d *desk, skills int) {
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
			SELECT 'v' || i, 'shop/support', 'waiting', 'chat', i % 4, CASE WHEN i / 4 % ? = 0 THEN 'chat' ELSE 'chat {"required":[{"name":"s' || (i / 4 % ?) || '"}]}' END,
				i + CAST(? AS BIGINT), 1, 1 FROM n`, skills+1, skills+1, now-2*benchWaiting)
		if from == 0 {
			fill(`INSERT INTO agents (id, namespace, name, skills, created_at, updated_at) SELECT 'a' || i, 'shop', 'a' || i, ?, 1, 1 FROM n WHERE i <= ?`, benchSkills(skills), benchAgents)
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

// benchSkills are the skills s1, s2 and so on, as an agent has them.
func benchSkills(n int) string {
	if n == 0 {
		return ""
	}
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"s%d":1`, i+1)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// benchSteps is how many steps a figure is the median of. What comes before, in
// which statements are prepared and pages read, does not count.
const benchSteps = 100

// BenchmarkDrain is one transaction that gives something away, in a queue in which
// benchWaiting conversations wait. busy: one of a thousand agents has room for one
// conversation, as when somebody solved one; morning: nobody has anything yet, and a
// whole batch is given away. skills: it waits for 16 different ones (languages, say),
// or none. Its figures are medians, with what a step asks of the
// database.
func BenchmarkDrain(b *testing.B) {
	for _, at := range []string{"busy", "morning", "busy/skills", "morning/skills"} {
		at, skilled := strings.CutSuffix(at, "/skills")
		skills, name := 0, at
		if skilled {
			skills, name = 16, at+"/skills"
		}
		for mode, offer := range map[string]routing.Offer{"offer": {}, "assign": {Mode: routing.OfferAssign}} {
			b.Run(name+"/"+mode, func(b *testing.B) {
				d := testDesk(b, routing.QueueSpec{Name: support, Offer: offer})
				crowd(b, d, skills)
				var steps []benchStep
				for b.Loop() {
					steps = append(steps, benchDrain(b, d, at == "busy")...)
				}
				slices.SortFunc(steps, func(x, y benchStep) int { return cmp.Compare(x.took, y.took) })
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(inMS(steps[len(steps)/2].took), "ms/step")
				b.ReportMetric(inMS(steps[0].took), "ms-least/step") // what the machine can do where others are busy on it, too
				b.ReportMetric(inMS(steps[len(steps)*95/100].took), "ms-p95/step")
				b.ReportMetric(float64(steps[len(steps)/2].statements), "statements/step")
				if d.db.postgres != nil {
					b.ReportMetric(float64(steps[len(steps)/2].ways), "ways/step")
				}
			})
		}
	}
}

// benchStep is what a step took.
type benchStep struct {
	took             time.Duration
	ways, statements int
}

func inMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// benchDrain drains step by step.
func benchDrain(b *testing.B, d *desk, busy bool) []benchStep {
	set := func(load int, where string, args ...any) {
		require.NoError(b, d.write(b.Context(), 1, func(t *txn) error {
			_, err := t.exec(`UPDATE presence SET load_chat = ?`+where, append([]any{load}, args...)...)
			return err
		}))
	}
	const before = 10
	var steps []benchStep
	want := drainBatch
	if set(0, ""); busy {
		set(100, "")
		want = 1
	}
	for i := range before + benchSteps {
		if busy {
			set(75, ` WHERE agent = ?`, fmt.Sprint("a", i*7%benchAgents+1))
		}
		var step drainStep
		var w *scribe
		var from benchStep
		began := time.Now()
		require.NoError(b, d.writeLocked(b.Context(), drainBatch, newLocks().agents("shop"), func(t *txn) (err error) {
			w, from = t.w, benchStep{ways: t.w.ways, statements: t.w.statements}
			step, err = d.drainStep(t, support)
			return err
		}))
		took := time.Since(began)
		require.Equal(b, want, step.given)
		if i >= before { // and one way, and one statement, with which the transaction began
			steps = append(steps, benchStep{took, w.ways - from.ways + 1, w.statements - from.statements + 1})
		}
	}
	return steps
}
